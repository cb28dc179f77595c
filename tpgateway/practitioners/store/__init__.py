"""SQL of practitioners' accounts."""

from tpgateway.practitioners.store.accounts import PractitionerStore, RequestStore, ReviewStore
from tpgateway.practitioners.store.bank import BankStore
from tpgateway.practitioners.store.clients import ClientStore

__all__ = ["BankStore", "ClientStore", "PractitionerStore", "RequestStore", "ReviewStore"]
