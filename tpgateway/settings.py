"""Settings: environment variables ``TPG_*``, or files of those names (lower case) in the folder ``TPG_SECRETS_DIR``.

Secrets have no default. ``tpgateway secrets new DIR`` makes them; the demo makes its own on its first start.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}


def default_data_dir() -> Path:
    """Where the embedded database lives unless told otherwise; root's must be reachable by the server's own user."""
    if os.geteuid() == 0:
        return Path("/var/lib/tpgateway")
    return user_data_path("tpgateway")


class DatabaseSettings(BaseSettings):
    """Where the database is, and whatever else operators' commands need."""

    model_config = SettingsConfigDict(env_prefix="TPG_", hide_input_in_errors=True, extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL 18 or newer; when absent, an embedded server is started in data_dir."
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Folder of the embedded server.")
    database_pool_size: int = Field(default=10, ge=2, le=200)
    database_role: str | None = Field(
        default="tpgateway_service", description="The role to act under, which cannot change what is append-only."
    )

    vault_keys: SecretStr | None = Field(
        default=None, description="Keys for data at rest; commands need them where they touch what is sealed."
    )
    table_keys: SecretStr | None = Field(
        default=None, description="Keys that published tables are signed with; who publishes needs them."
    )
    closing_percent: int = Field(
        default=20, ge=0, le=100, description="Share of people that a file may leave without rights unconfirmed."
    )

    webhook_private_targets: bool = Field(
        default=False, description="Whether insurers' endpoints may be plain HTTP or stand on private addresses."
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @field_validator("vault_keys", "table_keys")
    @classmethod
    def _keys_as_made(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else _as_made(value)


class Settings(DatabaseSettings):
    """All that an operator may set. Durations carry their unit in their name."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    socket_fd: int | None = Field(
        default=None, ge=3, description="A listening socket inherited from whoever started us; host and port then rest."
    )
    tls_certificate: Path | None = Field(
        default=None, description="File of the certificate chain (PEM), where no proxy makes the connections safe."
    )
    tls_key: Path | None = Field(default=None, description="File of its private key (PEM).")
    tls_client_authorities: Path | None = Field(
        default=None, description="File of the authorities (PEM) whose client certificates are accepted."
    )
    tls_client_certificates: Literal["optional", "required"] = Field(
        default="optional", description="Whether a connection without a client certificate is refused."
    )
    base_url: str = Field(
        default="http://127.0.0.1:8080",
        description="The address practitioners and insurers see; links are made from it.",
    )
    graceful_stop_seconds: int = Field(default=30, ge=0)
    slow_client_seconds: float = Field(
        default=20, gt=0, description="How long a request's head may take, and how long its body may pause."
    )
    trusted_proxies: int = Field(
        default=0, ge=0, le=5, description="How many proxies of yours stand in front and append to X-Forwarded-For."
    )

    token_keys: SecretStr = Field(description="JWK Set of private Ed25519 keys; the first signs, all are published.")
    vault_keys: SecretStr = Field(description="Keys for data at rest, as tpgateway secrets new writes them.")
    token_minutes: int = Field(default=10, ge=1, le=60)

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_encryption: Literal["none", "starttls", "tls"] = "starttls"
    mail_from: str = "Réseau tiers payant <ne-pas-repondre@tpgateway.example>"

    adeli_key: Literal["refuse", "warn"] = Field(
        default="refuse", description="What a failed Adeli key does: refuse the number, or log a warning and accept it."
    )
    support_contact: str = Field(
        default="assistance@tpgateway.example", description="Whom people are told to write to or call."
    )
    activation_hours: int = Field(default=48, ge=1)
    password_reset_minutes: int = Field(default=30, ge=1)
    invitation_days: int = Field(default=7, ge=1)
    session_hours: int = Field(default=12, ge=1)
    session_idle_minutes: int = Field(default=30, ge=1)
    session_kept_days: int = Field(default=30, ge=1, description="Life of a session that was asked to be kept.")
    session_kept_idle_days: int = Field(
        default=7, ge=1, description="How long a session that was asked to be kept may go unused."
    )
    second_factor_minutes: int = Field(
        default=10,
        ge=1,
        le=10,
        description="How long a second factor opens sensitive changes, and a mailed code is good.",
    )
    known_device_days: int = Field(default=90, ge=1, description="How long a browser is known after a second factor.")
    login_failures: int = Field(default=10, ge=4, description="Failures after which a door is locked.")
    login_lock_minutes: int = Field(default=30, ge=1)
    mails_per_hour: int = Field(default=6, ge=1, description="To one address, of those that strangers can cause.")
    bank_details_hours: int = Field(default=72, ge=0, description="How long new bank details wait to be in force.")
    former_address_days: int = Field(
        default=30, ge=0, description="How long an address that was replaced is still told of sensitive changes."
    )

    psc_issuer: str | None = Field(default=None, description="Pro Santé Connect's issuer; off where it is not set.")
    psc_client_id: str | None = None
    psc_client_secret: SecretStr | None = None
    psc_scope: str = "openid scope_all"
    psc_acr: str | None = Field(default="eidas1", description="Level that the provider must have checked.")
    psc_claim: str = Field(default="SubjectNameID", description="The claim that holds the national identifier.")

    replica_url: SecretStr | None = Field(
        default=None, description="A standby from which card checks look people up; they are recorded on the primary."
    )
    replica_lag_seconds: float = Field(
        default=5.0, ge=0.5, le=300.0, description="How far behind it may be: beyond, the primary is asked."
    )
    check_patience_milliseconds: int = Field(
        default=800, ge=100, description="How long a card check waits for the database before it is refused."
    )
    live_patience_milliseconds: int = Field(
        default=5000, ge=100, description="How long an insurer that is asked live may take to answer a check."
    )
    check_quotas: dict[str, dict[str, int]] = Field(
        default={},
        description="By speciality or `default`, any of people_per_hour, people_per_day, misses_per_hour, misses_per_day.",
    )
    check_quota_agent_percent: int = Field(
        default=70,
        ge=1,
        le=100,
        description="Share of an account's quota that one of its people or clients may use up.",
    )
    check_slowest_seconds: float = Field(
        default=8.0, ge=0.0, le=60.0, description="How long an answer waits where a quota is nearly used up."
    )
    check_lock_hours: int = Field(default=24, ge=1, description="How long checks are locked when a quota is used up.")
    alert_address: str | None = Field(default=None, description="Who is mailed of locks beside the practice itself.")
    proof_days: int = Field(default=30, ge=1, description="How long a card check's proof opens an approval.")
    checks_kept_months: int = Field(
        default=12, ge=6, description="How long a card check is kept; its entry in the audit trail stays."
    )
    rights_kept_months: int = Field(default=36, ge=24, description="How long rights are kept after they ended.")
    approvals_kept_months: int = Field(
        default=24, ge=12, description="How long an approval stays readable after its end; it is archived then."
    )
    approvals_archived_months: int = Field(
        default=60, ge=24, description="How long after its end an approval is in the archive, until it is removed."
    )
    audit_kept_months: int = Field(default=36, ge=12, description="How long the audit trail's entries are kept.")
    idempotency_hours: int = Field(default=24, ge=24)
    requests_per_minute: int = Field(default=6000, ge=1, description="Per account and process; per address if nobody.")

    traces_endpoint: str | None = Field(
        default=None, description="Where traces are sent by OTLP over HTTP; needs the extra `traces`."
    )
    environment: Literal["production", "development"] = Field(
        default="production", description="In production, what is not safe there is refused at the start."
    )
    sandbox: bool = Field(
        default=False,
        description="Whether software may move the clock by which things are decided; never in production.",
    )
    webhook_timeout_seconds: int = Field(default=15, ge=1)

    @field_validator("token_keys")
    @classmethod
    def _tokens_as_made(cls, value: SecretStr) -> SecretStr:
        return _as_made(value)

    @field_validator("base_url")
    @classmethod
    def _without_trailing_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _psc_whole(self) -> Self:
        if self.psc_issuer and not (self.psc_client_id and self.psc_client_secret):
            raise ValueError("TPG_PSC_ISSUER needs TPG_PSC_CLIENT_ID and TPG_PSC_CLIENT_SECRET")
        return self

    @model_validator(mode="after")
    def _tls_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TPG_TLS_CERTIFICATE and TPG_TLS_KEY go together")
        if self.tls_client_authorities is not None and self.tls_certificate is None:
            raise ValueError("TPG_TLS_CLIENT_AUTHORITIES needs TPG_TLS_CERTIFICATE")
        if self.tls_client_certificates == "required" and self.tls_client_authorities is None:
            raise ValueError("TPG_TLS_CLIENT_CERTIFICATES=required needs TPG_TLS_CLIENT_AUTHORITIES")
        return self

    def unsafe(self) -> list[str]:
        """What must not be so in production, each with what to do about it; empty where all is well."""
        checks = [
            (self.is_https, "TPG_BASE_URL is plain HTTP: give the https address that people and systems see"),
            (self.database_url is not None, "the embedded server is for trying out: set TPG_DATABASE_URL"),
            (
                self.database_url is None or _is_verified(self.database_url.get_secret_value()),
                "TPG_DATABASE_URL reaches another machine without making sure that it is the right one: add"
                " sslmode=verify-full, and sslrootcert=FILE with the authority that signed its certificate",
            ),
            (self.database_role is not None, "TPG_DATABASE_ROLE is empty: the service would act as the schema's owner"),
            (not self.webhook_private_targets, "TPG_WEBHOOK_PRIVATE_TARGETS lets insurers reach into your network"),
            (not self.sandbox, "TPG_SANDBOX lets software move the clock that decisions are made by"),
            (
                not (self.psc_issuer or "").startswith("http:"),
                "TPG_PSC_ISSUER is plain HTTP: anybody on the way could let people in",
            ),
            (
                self.smtp_encryption != "none" or self.smtp_host in _THIS_MACHINE,
                "TPG_SMTP_ENCRYPTION is none: codes and links would cross the network in the clear",
            ),
            (
                not self.mail_from.rstrip(">").endswith(".example"),
                "TPG_MAIL_FROM is the example's: readers cannot answer",
            ),
            (
                not self.support_contact.endswith(".example"),
                "TPG_SUPPORT_CONTACT is the example's: people in trouble are told to write there",
            ),
        ]
        return [said for is_well, said in checks if not is_well]

    @model_validator(mode="after")
    def _archived_after(self) -> Self:
        if self.approvals_archived_months < self.approvals_kept_months:
            raise ValueError(
                "TPG_APPROVALS_ARCHIVED_MONTHS counts from the end too: not less than TPG_APPROVALS_KEPT_MONTHS"
            )
        return self

    @property
    def is_https(self) -> bool:
        """Whether people reach the gateway by TLS."""
        return self.base_url.startswith("https://")


def _is_verified(database_url: str) -> bool:
    """Whether each host of a database's URL is this machine, or must prove by TLS which one it is."""
    parts = urlsplit(database_url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if asked.get("sslmode") in {"verify-full", "verify-ca"}:
        return True
    named = parts.netloc.rpartition("@")[2] or asked.get("host") or os.environ.get("PGHOST", "")
    return all(_is_here(host) for host in unquote(named).split(",") if host)


def _is_here(host: str) -> bool:
    """Whether a host, its port behind it or not, is a socket's folder or this machine."""
    if host.startswith(("/", "@", ":")):
        return True
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return bare in _THIS_MACHINE


def _as_made(value: SecretStr) -> SecretStr:
    try:
        keys = json.loads(value.get_secret_value())["keys"]
        is_made = bool(keys) and (isinstance(keys, dict) or all(isinstance(key["kid"], str) for key in keys))
    except (ValueError, KeyError, TypeError):
        is_made = False
    if not is_made:
        raise ValueError("must be as `tpgateway secrets new` writes it")
    return value


def load(**overrides: Any) -> Settings:
    """Settings from the environment and the secrets folder; raises pydantic's ``ValidationError``, values hidden."""
    return Settings(_secrets_dir=os.environ.get("TPG_SECRETS_DIR"), **overrides)


def load_database() -> DatabaseSettings:
    """The database's settings alone; raises pydantic's ``ValidationError``, values hidden."""
    return DatabaseSettings(_secrets_dir=os.environ.get("TPG_SECRETS_DIR"))
