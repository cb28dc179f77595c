"""States, events and items of approvals in French, for people."""

from collections.abc import Mapping

from tpgateway.claims.model import Correction, Item, Kind, PriceClass, RenewalReason, State
from tpgateway.claims.rules.reasons import OF_INSURERS

ITEMS_FR: Mapping[Item, str] = {
    Item.RIGHT_LENS: "Verre droit",
    Item.LEFT_LENS: "Verre gauche",
    Item.FRAME: "Monture",
    Item.SUPPLEMENT: "Supplément",
    Item.COPAYMENT: "Ticket modérateur",
    Item.DAILY_FEE: "Forfait journalier",
    Item.EMERGENCY_FEE: "Forfait patient urgences",
    Item.HIGH_COST_ACT_FEE: "Participation acte lourd",
    Item.SINGLE_ROOM: "Chambre particulière",
    Item.ACCOMPANYING_BED: "Lit d'accompagnant",
    Item.EXCESS_FEES: "Dépassement d'honoraires",
}
STATES_FR: Mapping[State, str] = {
    State.SUBMITTED: "Déposée",
    State.INFORMATION_REQUESTED: "Question de l'organisme",
    State.UNDER_REVIEW: "En examen par l'organisme",
    State.APPROVED: "Accordée",
    State.PARTIALLY_APPROVED: "Accordée en partie",
    State.REFUSED: "Refusée",
    State.APPEALED: "Contestée",
    State.CANCELLED: "Annulée",
    State.USED: "Facturée",
    State.EXPIRED: "Expirée",
}
KINDS_FR: Mapping[Kind, str] = {
    Kind.SUBMITTED: "Demande déposée",
    Kind.INFORMATION_REQUESTED: "Question de l'organisme",
    Kind.INFORMATION_GIVEN: "Réponse du professionnel",
    Kind.REVIEW_STARTED: "Examen par l'organisme",
    Kind.APPROVED: "Accord",
    Kind.PARTIALLY_APPROVED: "Accord partiel",
    Kind.REFUSED: "Refus",
    Kind.AMENDED: "Modification demandée",
    Kind.EXTENDED: "Prolongation demandée",
    Kind.APPEALED: "Contestation",
    Kind.CANCELLED: "Annulation",
    Kind.USED: "Facturation",
    Kind.EXPIRED: "Fin de validité",
}
ACTORS_FR: Mapping[str, str] = {
    "practitioner": "le professionnel",
    "insurer": "l'organisme",
    "system": "décision automatique",
    "operator": "le réseau",
}
DOCUMENTS_FR: Mapping[str, str] = {"prescription": "Ordonnance", "quote": "Devis"}
CLASSES_FR: Mapping[PriceClass, str] = {PriceClass.A: "A, 100 % Santé", PriceClass.B: "B"}
CORRECTIONS_FR: Mapping[Correction, str] = {
    Correction.SIMPLE: "simple",
    Correction.COMPLEX: "complexe",
    Correction.VERY_COMPLEX: "très complexe",
}
RENEWALS_FR: Mapping[RenewalReason, str] = {
    RenewalReason.SIGHT_CHANGE: "Évolution de la vue",
    RenewalReason.MEDICAL_CONDITION: "Situation médicale particulière",
}
INSURERS_CODES = tuple(OF_INSURERS)
"""Why an insurer may refuse or cut; their sentences stand in the catalogue."""
