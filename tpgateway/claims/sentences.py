"""States, events and items of approvals in French, for people."""

from collections.abc import Mapping

from tpgateway.claims.model import Correction, Item, Kind, PriceClass, PriorApproval, RenewalReason, State
from tpgateway.claims.rules import life, reasons
from tpgateway.insurers.model import ApprovalRules

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
    Kind.EXPIRED: "Expiration",
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
INSURERS_CODES = tuple(reasons.OF_INSURERS)
"""Why an insurer may refuse or cut; their sentences stand in the catalogue."""


SIMULATED_FR: Mapping[str, str] = {
    reasons.ALL_GRANTED.code: "La demande serait accordée.",
    reasons.SOME_NOT_GRANTED.code: "La demande serait accordée en partie.",
    reasons.NOTHING_GRANTED.code: "La demande serait refusée.",
    reasons.DOCUMENTS_ASKED.code: "L'organisme demanderait une pièce avant de décider.",
    reasons.REVIEW_ASKED.code: "L'organisme examinerait la demande avant de décider.",
    reasons.CHANGE_REFUSED.code: "La modification serait refusée, et la prise en charge resterait telle qu'elle est.",
}
"""What a decision's code says as long as nothing was sent."""


SILENCE_FR: Mapping[life.Silence, str] = {
    life.Silence.KEEPS: "la décision reste la même",
    life.Silence.GRANTS: "c'est accordé comme calculé",
    life.Silence.REFUSES: "la demande est refusée",
    life.Silence.CLOSES: "la demande est close",
    life.Silence.RESTORES: "la modification est abandonnée",
    life.Silence.ENDS: "elle n'est plus valable",
}


def silence_fr(approval: PriorApproval, rules: ApprovalRules) -> str:
    """What follows where whoever is waited for does not act in time."""
    return f"Sans réponse à cette date, {SILENCE_FR[life.silence(approval, rules)]}."
