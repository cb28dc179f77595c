"""What can go wrong with a prior approval."""

from tpgateway.errors import Problem


class NoSandbox(Problem):
    code = "no_sandbox"
    status = 404
    title = "This is no sandbox: its clock cannot be moved"
    message_fr = "Cette opération n'existe que dans l'environnement d'essai."
    next_step_fr = "Utilisez l'adresse de l'environnement d'essai."
    hint = "tpgateway demo is a sandbox; an operator makes one with TPG_SANDBOX=true."


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
    next_step_fr = "Vérifiez la carte pour le domaine de la demande : optique ou hospitalisation."
    hint = "Check the card with domain OPTI before an optical request, with HOSP before a stay."


class ProofOfOtherDay(Problem):
    code = "proof_of_other_day"
    status = 422
    title = "The proof is of a check for another day than that of entry"
    message_fr = "La vérification faite concernait un autre jour que celui de l'entrée."
    next_step_fr = "Vérifiez la carte à la date d'entrée, puis faites une demande avec le numéro obtenu."
    hint = "care_date of the card check must be the stay's entry_date."


class PrescriptionInFuture(Problem):
    code = "prescription_after_care"
    status = 422
    title = "The prescription is dated after the care"
    message_fr = "L'ordonnance est postérieure aux soins."
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
    message_fr = "La demande ne comporte aucun élément."
    next_step_fr = "Ajoutez au moins un élément."
    hint = "One of right_lens, left_lens, frame; or a stay with its items."


class RequestOfTwoKinds(Problem):
    code = "request_of_two_kinds"
    status = 422
    title = "The request is for glasses and for a stay at once"
    message_fr = "La demande porte à la fois sur de l'optique et sur un séjour."
    next_step_fr = "Faites deux demandes."
    hint = "Send either stay, or prescription_date with lenses and frame."


class CorrectionUnclear(Problem):
    code = "correction_unclear"
    status = 422
    title = "A lens needs the class of its correction, or the values that give it, and not both"
    message_fr = "Indiquez la classe de correction du verre, ou ses valeurs, mais pas les deux."
    next_step_fr = "Choisissez une classe, ou saisissez sphère, cylindre et addition."
    hint = "correction, or sphere with cylinder and addition (0 where there is none), in dioptres."


class SupplementAlone(Problem):
    code = "supplement_alone"
    status = 422
    title = "Supplements go with a lens"
    message_fr = "Un supplément se demande avec un verre."
    next_step_fr = "Ajoutez le verre, ou retirez le supplément."
    hint = "supplements needs right_lens or left_lens."


class StayReversed(Problem):
    code = "stay_reversed"
    status = 422
    title = "The stay ends before it begins, or lasts over a year"
    message_fr = "La date de sortie précède l'entrée, ou le séjour dépasse un an."
    next_step_fr = "Corrigez l'une des deux dates."
    hint = "exit_date is the planned day of exit, at most 365 days after entry_date."


class UnitsImpossible(Problem):
    code = "units_impossible"
    status = 422
    title = "More days are asked for than the stay has"
    message_fr = "Le nombre de jours demandé dépasse la durée du séjour."
    next_step_fr = "Corrigez la quantité ou les dates du séjour."
    hint = "quantity of an item by the day is at most the days of presence, those of entry and exit included."


class ItemRepeated(Problem):
    code = "item_repeated"
    status = 422
    title = "An item stands twice in the stay"
    message_fr = "Un élément figure deux fois dans le séjour."
    next_step_fr = "Ne gardez qu'une ligne par élément."
    hint = "Each item once, with its quantity; excess fees once for each kind of practitioner."


class BilledOnImpossible(Problem):
    code = "billed_on_impossible"
    status = 422
    title = "The day of billing is before the care, to come, or too late"
    message_fr = "La date de facturation n'est pas possible : avant les soins, à venir, ou après le délai."
    next_step_fr = "Corrigez la date ; passé le délai de facturation, faites une nouvelle demande."
    hint = "billed_on lies between care_date and today, and is at most billable_until."


class StateForbids(Problem):
    code = "state_forbids"
    status = 409
    title = "The approval's present state does not allow this"
    message_fr = "L'état de cette prise en charge ne permet pas cette action."
    next_step_fr = "Actualisez la demande pour voir son état."
    hint = "present_state is what it is in; docs/approvals.md shows what each state allows."

    def __init__(self, state: str) -> None:
        super().__init__(f"the state is {state}", members={"present_state": state})


class VersionStale(Problem):
    code = "version_stale"
    status = 409
    title = "The approval has changed since it was read"
    message_fr = "Cette prise en charge a changé depuis que vous l'avez lue."
    next_step_fr = "Actualisez la demande, vérifiez, puis recommencez."
    hint = "version must be that of the approval as it stands: present_version, with present_state."

    def __init__(self, state: str, version: int) -> None:
        members = {"present_state": state, "present_version": version}
        super().__init__(f"the state is {state}, the version {version}", members=members)


class KindOfOther(Problem):
    code = "request_of_other_kind"
    status = 422
    title = "The change is of another kind than the approval"
    message_fr = "La modification ne correspond pas au type de cette demande."
    next_step_fr = "Modifiez une demande d'optique par de l'optique, un séjour par un séjour."
    hint = "An optical approval takes prescription_date with lenses and frame, a stay takes stay."


class StayNotLonger(Problem):
    code = "stay_not_longer"
    status = 422
    title = "An extension must end later, begin the same day and be at the same place"
    message_fr = "Une prolongation garde l'établissement et la date d'entrée, et repousse la sortie."
    next_step_fr = "Corrigez l'établissement ou les dates ; pour un autre établissement, faites une autre demande."
    hint = "The extension states the whole stay anew, with a later exit_date; finess and entry_date are the stay's own."


class DecisionNeedsLines(Problem):
    code = "decision_needs_lines"
    status = 422
    title = "This decision must say what is granted on each line"
    message_fr = "Cette décision doit préciser le montant accordé à chaque ligne."
    next_step_fr = "Indiquez un montant pour chaque ligne."
    hint = "lines[] with line and granted_cents, for a partial decision and for granting an appeal."


class DecisionNeedsReason(Problem):
    code = "decision_needs_reason"
    status = 422
    title = "A line is granted less than was asked for, and nothing says why"
    message_fr = "Un montant est diminué sans que la raison en soit dite."
    next_step_fr = "Choisissez un motif pour la ligne, ou écrivez un commentaire : le professionnel le lira."
    hint = "lines[].code, or comment for the whole; detail names the line."


class LineUnknown(Problem):
    code = "line_unknown"
    status = 422
    title = "The approval has no such line, or it is named twice"
    message_fr = "Cette ligne n'existe pas dans la demande, ou figure deux fois."
    next_step_fr = "Actualisez la demande, puis recommencez."
    hint = "line is the number that the approval's lines carry."


class GrantTooLarge(Problem):
    code = "grant_too_large"
    status = 422
    title = "More is granted than the AMO leaves of what is owed"
    message_fr = "Le montant accordé dépasse ce qui reste à payer sur la ligne."
    next_step_fr = "Diminuez le montant accordé."
    hint = "granted_cents is at most price_cents - amo_cents - not_due_cents of the line."


class GrantBelowAppealed(Problem):
    code = "grant_below_appealed"
    status = 422
    title = "An appeal cannot leave less than was granted before it"
    message_fr = "Une contestation ne peut pas réduire ce qui était accordé."
    next_step_fr = "Accordez au moins le montant d'avant la contestation, ou rejetez la contestation."
    hint = "granted_cents of each line is at least what it was; decision refused leaves all lines as they are."


class GrantAboveResponsible(Problem):
    code = "grant_above_responsible"
    status = 422
    title = "More is granted than a responsible contract may pay"
    message_fr = "Le montant accordé dépasse le plafond du contrat responsable."
    next_step_fr = (
        "Diminuez le montant accordé : monture, équipement et dépassements d'honoraires ont chacun leur plafond."
    )
    hint = (
        "CSS R871-2: optical_frame_ceiling, optical_ceiling_a to f in GET /v1/tariffs; of excess fees outside the option, the"
        " base again; detail names the line and the rule."
    )


class BenefitsTaken(Problem):
    code = "benefits_taken"
    status = 409
    title = "The approval had expired, and what it gave back was granted to another since"
    message_fr = "Cette prise en charge avait expiré, et ses droits ont été utilisés depuis par une autre."
    next_step_fr = "Appelez l'organisme complémentaire pour cette facture."
    hint = "Tell each billing when it happens: what is not told by billable_until is free for other requests."


class GrantedToAnother(Problem):
    code = "granted_to_another"
    status = 409
    title = "Another approval of the same person has got the equipment or the days since"
    message_fr = "Cet élément a été accordé, depuis la demande, à une autre demande du même assuré."
    next_step_fr = (
        "N'accordez rien pour cette ligne. Si les deux se justifient, invitez le professionnel, par un commentaire, à faire"
        " une nouvelle demande."
    )
    hint = "detail names the line. What was refused for the other's sake from the start can be granted: the insurer knew it."


class AttachmentMissing(Problem):
    code = "attachment_missing"
    status = 422
    title = "A document that was asked for is not there yet"
    message_fr = "Une pièce demandée n'est pas encore jointe."
    next_step_fr = "Joignez la pièce demandée, puis envoyez votre réponse."
    hint = "POST …/attachments?kind= prescription or quote first; detail names what is missing."


class AttachmentNotAsked(Problem):
    code = "attachment_not_asked"
    status = 409
    title = "This document is not asked for"
    message_fr = "Cette pièce n'est pas demandée pour cette prise en charge."
    next_step_fr = "Ne transmettez que les pièces demandées."
    hint = "Documents are taken while the approval waits for information, of the kinds that its documents[] name."


class AttachmentUnreadable(Problem):
    code = "attachment_unreadable"
    status = 422
    title = "The document is no PDF, PNG or JPEG"
    message_fr = "Le document doit être un PDF, un PNG ou un JPEG."
    next_step_fr = "Enregistrez le document dans l'un de ces formats."
    hint = "What counts is the content, whatever its name and Content-Type."


class AttachmentsTooMany(Problem):
    code = "attachments_too_many"
    status = 409
    title = "The approval holds as many documents as it can"
    message_fr = "Cette demande contient déjà le nombre maximal de pièces."
    next_step_fr = "Regroupez vos pièces en un seul document."
    hint = "10 documents an approval."
