"""What can go wrong with a prior approval."""

from tpgateway.errors import Problem


class ProofUnknown(Problem):
    code = "proof_unknown"
    status = 422
    title = "No check of this practitioner's has this proof"
    message_fr = "Ce numéro de vérification n'est pas l'un des vôtres."
    next_step_fr = "Vérifiez la carte de l'assuré, puis utilisez le numéro obtenu."
    hint = "A proof is bound to the practitioner who made the check, and to the insurer named beside it."


class ProofExpired(Problem):
    code = "proof_expired"
    status = 422
    title = "The proof is too old"
    message_fr = "Ce numéro de vérification n'est plus valable."
    next_step_fr = "Vérifiez de nouveau la carte de l'assuré."
    hint = "proof_expires_at of the card check; TPG_PROOF_DAYS."


class ProofOfOtherDomain(Problem):
    code = "proof_of_other_domain"
    status = 422
    title = "The proof is of a check for another domain"
    message_fr = "La vérification faite concernait un autre domaine de soins."
    next_step_fr = "Vérifiez la carte pour l'optique."
    hint = "Check the card with domain OPTI before an optical request."


class PrescriptionInFuture(Problem):
    code = "prescription_after_care"
    status = 422
    title = "The prescription is dated after the care"
    message_fr = "L'ordonnance est datée d'après les soins."
    next_step_fr = "Corrigez la date de l'ordonnance."
    hint = "prescription_date may not be after the proof's care_date."


class AmountsImpossible(Problem):
    code = "amounts_impossible"
    status = 422
    title = "The AMO's share is larger than the price or the base"
    message_fr = "La part de l'Assurance maladie dépasse le prix ou la base de remboursement."
    next_step_fr = "Corrigez les montants de la ligne."
    hint = "amo_cents may exceed neither price_cents nor base_cents."


class ItemMissing(Problem):
    code = "equipment_empty"
    status = 422
    title = "The request asks for nothing"
    message_fr = "La demande ne comporte ni verre ni monture."
    next_step_fr = "Ajoutez au moins un élément."
    hint = "One of right_lens, left_lens, frame."


class StateForbids(Problem):
    code = "state_forbids"
    status = 409
    title = "The approval's present state does not allow this"
    message_fr = "L'état de cette prise en charge ne permet pas cette action."
    next_step_fr = "Actualisez la demande pour voir son état."
    hint = "detail names the present state; a decided request can be cancelled once, unless it was refused."
