"""States, events and items of approvals in French, for people."""

from collections.abc import Mapping

from tpgateway.claims.model import Correction, Item, Kind, PriceClass, PriorApproval, RenewalReason, State
from tpgateway.claims.rules import reasons
from tpgateway.insurers.model import ApprovalRules, TacitOutcome

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


def silence_fr(approval: PriorApproval, rules: ApprovalRules) -> str:
    """What follows where whoever is waited for does not act in time; see ``service.run_clock``."""
    is_question = approval.state is State.INFORMATION_REQUESTED
    if approval.state is State.APPEALED:
        return "Sans réponse à cette date, la décision reste la même."
    if not is_question and rules.tacit_outcome is TacitOutcome.APPROVE and any(line.granted for line in approval.lines):
        return "Sans réponse à cette date, c'est accordé comme calculé."
    if approval.standing is not None:
        return "Sans réponse à cette date, la modification est abandonnée."
    return f"Sans réponse à cette date, la demande est {'close' if is_question else 'refusée'}."
