"""Every code of a decision, with the sentence that the practice reads and what it can do next.

A code has one meaning. They stand in the catalogue beside the problems, so that vendors find them in one place.
"""

from tpgateway.errors import reason

_BILL = "Facturez à l'assuré ce qui n'est pas pris en charge."

# What becomes of the whole.
ALL_GRANTED = reason("all_granted", "La prise en charge est accordée.")
SOME_NOT_GRANTED = reason(
    "some_not_granted",
    "La prise en charge est accordée en partie : un élément au moins n'est pas pris en charge, ou ne l'est que pour une"
    " partie des jours ou du montant de l'année.",
    "Lisez le motif de chaque ligne ; facturez le reste à l'assuré, modifiez la demande ou contestez la décision.",
)
NOTHING_GRANTED = reason(
    "nothing_granted",
    "La prise en charge est refusée : aucun élément ne peut être pris en charge.",
    "Lisez le motif de chaque ligne ; faites une autre demande, contestez la décision ou facturez l'assuré.",
)
DOCUMENTS_ASKED = reason(
    "documents_asked",
    "L'organisme complémentaire demande une pièce avant de décider.",
    "Joignez la pièce demandée, puis envoyez votre réponse.",
)
REVIEW_ASKED = reason(
    "review_asked",
    "L'organisme complémentaire examine la demande.",
    "Attendez sa réponse : elle arrive au plus tard à la date indiquée.",
)
INFORMATION_ASKED = reason(
    "information_asked",
    "L'organisme complémentaire pose une question avant de décider.",
    "Répondez à la question, en joignant une pièce s'il le faut.",
)
INFORMATION_GIVEN = reason(
    "information_given",
    "La réponse est transmise à l'organisme complémentaire.",
    "Attendez sa réponse : elle arrive au plus tard à la date indiquée.",
)
APPEAL_MADE = reason(
    "appeal_made",
    "La contestation est transmise à l'organisme complémentaire.",
    "Attendez sa réponse : elle arrive au plus tard à la date indiquée.",
)
CHANGE_REFUSED = reason(
    "change_refused",
    "La modification n'est pas accordée : la prise en charge reste telle qu'elle était.",
    "Utilisez la prise en charge telle quelle, ou demandez autre chose.",
)
INSURER_APPROVED = reason("insurer_approved", "L'organisme complémentaire accorde la prise en charge.")
INSURER_CUT = reason(
    "insurer_cut",
    "L'organisme complémentaire accorde la prise en charge en partie.",
    "Lisez le motif de chaque ligne ; facturez le reste à l'assuré ou contestez la décision.",
)
INSURER_REFUSED = reason(
    "insurer_refused",
    "L'organisme complémentaire refuse la prise en charge.",
    "Lisez son commentaire ; contestez la décision ou facturez l'assuré.",
)
# Why an insurer refuses or cuts: it names one of these, for all or by line.
OF_INSURERS = {
    each.code: each
    for each in (
        reason(
            "insurer_not_justified",
            "L'organisme complémentaire estime que le besoin n'est pas établi.",
            "Contestez la décision en disant ce qui l'établit, ou facturez l'assuré.",
        ),
        reason(
            "insurer_price_too_high",
            "L'organisme complémentaire estime que le prix dépasse ce que le contrat admet.",
            "Corrigez le prix, ou facturez la différence à l'assuré.",
        ),
        reason(
            "insurer_documents_insufficient",
            "L'organisme complémentaire n'a pas pu lire les pièces, ou elles sont incomplètes.",
            "Faites une nouvelle demande avec des pièces lisibles et complètes.",
        ),
        reason(
            "insurer_contract_excludes",
            "Le contrat de l'assuré exclut cet élément.",
            "Proposez un élément que le contrat couvre, ou facturez l'assuré.",
        ),
        reason(
            "insurer_already_paid",
            "L'organisme complémentaire a déjà réglé cet élément par une autre voie.",
            "Vérifiez vos règlements ; s'il n'y en a aucun, contestez la décision.",
        ),
        reason(
            "insurer_other_insurer_first",
            "Un autre organisme complémentaire doit payer en premier.",
            "Demandez à l'assuré son autre carte, et faites la demande à cet organisme.",
        ),
        reason(
            "insurer_rights_disputed",
            "La situation du contrat de l'assuré est en cours de vérification.",
            "Demandez à l'assuré d'appeler son organisme, ou facturez-le.",
        ),
    )
}
APPEAL_REJECTED = reason(
    "appeal_rejected",
    "L'organisme complémentaire maintient sa décision après examen de la contestation.",
    "Facturez l'assuré, ou orientez-le vers la médiation de son organisme.",
)
APPEAL_NOT_ANSWERED = reason(
    "appeal_not_answered",
    "L'organisme complémentaire n'a pas répondu à la contestation dans le délai : sa décision reste la même.",
    "Appelez l'organisme, facturez l'assuré, ou orientez-le vers la médiation.",
)
TACIT_APPROVAL = reason(
    "tacit_approval", "L'organisme complémentaire n'a pas répondu dans le délai : la prise en charge est accordée."
)
TACIT_REFUSAL = reason(
    "tacit_refusal",
    "L'organisme complémentaire n'a pas répondu dans le délai : la prise en charge est refusée.",
    "Contestez la décision, ou facturez l'assuré.",
)
CANCELLED = reason(
    "cancelled_by_practitioner", "La prise en charge est annulée.", "Faites une nouvelle demande au besoin."
)
USED = reason("used", "La prise en charge est facturée.")
EXPIRED = reason(
    "expired",
    "La prise en charge n'a pas été facturée à temps : elle n'est plus valable.",
    "Faites une nouvelle demande si les soins ont lieu.",
)
NOT_ANSWERED = reason(
    "not_answered",
    "La question de l'organisme complémentaire est restée sans réponse : la demande est close.",
    "Faites une nouvelle demande, avec les pièces demandées.",
)

# What becomes of a line.
FORMULA_APPLIED = reason("formula_applied", "Pris en charge selon la garantie du contrat.")
FORMULA_GIVES_NOTHING = reason(
    "formula_gives_nothing", "La garantie du contrat ne laisse rien à la charge de l'organisme pour cet élément.", _BILL
)
STAY_OVERLAPS = reason(
    "stay_overlaps",
    "Le même élément est déjà pris en charge, pour les mêmes jours ou une partie d'entre eux, par un autre séjour.",
    "Modifiez ou prolongez la première demande au lieu d'en faire une autre.",
)
CEILING_REACHED = reason("ceiling_reached", "Limité au plafond de la garantie du contrat.", _BILL)
YEAR_CEILING_REACHED = reason("year_ceiling_reached", "Limité au plafond annuel du contrat.", _BILL)
WAITING_DAYS = reason("waiting_days", "Les premiers jours ne sont pas pris en charge par le contrat.", _BILL)
DAYS_USED_UP = reason("days_used_up", "Le nombre de jours pris en charge dans l'année est atteint.", _BILL)
CLASS_A_IN_FULL = reason("class_a_in_full", "Équipement 100 % Santé : pris en charge en totalité.")
PRICE_ABOVE_CLASS_A = reason(
    "price_above_class_a",
    "Le prix dépasse le prix limite de la classe A : ce n'est pas un équipement 100 % Santé.",
    "Corrigez le prix, ou demandez l'équipement en classe B.",
)
FRAME_CEILING = reason("frame_ceiling", "Monture limitée au plafond du contrat responsable.", _BILL)
EQUIPMENT_CEILING = reason("equipment_ceiling", "Limité au plafond de l'équipement du contrat responsable.", _BILL)
EQUIPMENT_FLOOR = reason("equipment_floor", "Porté au plancher de l'équipement du contrat responsable.")
BENEFIT_NOT_IN_CONTRACT = reason(
    "benefit_not_in_contract",
    "Le contrat ne prévoit rien pour cet élément.",
    "Proposez un élément que le contrat couvre, ou facturez l'assuré.",
)
RENEWAL_TOO_EARLY = reason(
    "renewal_too_early",
    "Un équipement a déjà été pris en charge : le délai de renouvellement n'est pas écoulé.",
    "Attendez le jour indiqué, ou signalez l'évolution de la vue si une ordonnance plus récente la constate.",
)
PRESCRIPTION_TOO_OLD = reason(
    "prescription_too_old",
    "L'ordonnance est trop ancienne pour l'âge de l'assuré.",
    "Demandez à l'assuré une ordonnance récente.",
)
GOES_WITH_LENSES = reason(
    "goes_with_lenses",
    "Un supplément n'est pris en charge qu'avec un verre pris en charge.",
    "Lisez le motif indiqué pour les verres.",
)
DAILY_FEE_IN_FULL = reason("daily_fee_in_full", "Forfait journalier pris en charge en totalité (contrat responsable).")
COPAYMENT_IN_FULL = reason("copayment_in_full", "Ticket modérateur pris en charge en totalité (contrat responsable).")
FEE_IN_FULL = reason("fee_in_full", "Participation forfaitaire prise en charge en totalité (contrat responsable).")
NATIONAL_AMOUNT = reason(
    "national_amount",
    "Limité au montant national en vigueur aux dates du séjour.",
    "Corrigez le montant : il dépasse le tarif national.",
)
FEE_NOT_DUE = reason(
    "fee_not_due",
    "Cette participation n'est pas due pour ce séjour.",
    "Retirez la ligne : elle ne peut être facturée ni à l'organisme ni à l'assuré.",
)
EXCESS_CEILING = reason(
    "excess_ceiling", "Dépassement limité au plafond du contrat responsable (praticien hors option tarifaire).", _BILL
)
NOTHING_LEFT = reason("nothing_left", "L'Assurance maladie paie la totalité : rien ne reste à prendre en charge.")
CUT_BY_INSURER = reason(
    "cut_by_insurer",
    "Montant fixé par l'organisme complémentaire.",
    "Lisez son commentaire ; contestez la décision si elle vous paraît erronée.",
)
GRANTED_BY_INSURER = reason("granted_by_insurer", "Montant accordé par l'organisme complémentaire après examen.")
