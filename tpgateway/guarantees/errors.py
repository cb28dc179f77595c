"""What can go wrong with a product."""

from tpgateway.errors import Problem


class ProductValidityOverlaps(Problem):
    code = "product_validity_overlaps"
    status = 409
    title = "A later version of this product begins within the period given"
    message_fr = "Une version ultérieure de ce produit existe déjà sur la période indiquée."
    next_step_fr = "Donnez une date de fin antérieure, ou remplacez d'abord la version ultérieure."
    hint = "Versions of a product are in force one at a time; set valid_to to the day before the later version."


class ValidityReversed(Problem):
    code = "validity_reversed"
    status = 422
    title = "The period ends before it begins"
    message_fr = "La date de fin précède la date de début."
    next_step_fr = "Corrigez l'une des deux dates."
    hint = "valid_to is the last day in force, or null."


class BenefitRepeated(Problem):
    code = "benefit_repeated"
    status = 422
    title = "A benefit stands twice in the product"
    message_fr = "Une garantie figure deux fois dans le produit."
    next_step_fr = "Ne gardez qu'une ligne par domaine et garantie."
    hint = "domain with benefit must be unique."


class ResponsibleDailyFee(Problem):
    code = "responsible_daily_fee"
    status = 422
    title = "A responsible contract pays the hospital's daily fee in full, without a limit of days"
    message_fr = "Un contrat responsable prend en charge le forfait journalier en entier, sans limite de durée."
    next_step_fr = "Retirez plafond, carence et nombre de jours de cette ligne, ou déclarez le produit non responsable."
    hint = "CSS R871-2: HOSP daily_fee must be a remainder without ceiling_cents, waiting_days or days_covered."


class ResponsibleCopayment(Problem):
    code = "responsible_copayment"
    status = 422
    title = "A responsible contract pays the whole co-payment"
    message_fr = "Un contrat responsable prend en charge le ticket modérateur et les forfaits hospitaliers en entier."
    next_step_fr = "Corrigez la formule de cette ligne, ou déclarez le produit non responsable."
    hint = "CSS R871-2: copayment, remainder, or at least 100 % of the base, without ceiling or limit of days."


class ResponsibleExcessFees(Problem):
    code = "responsible_excess_fees"
    status = 422
    title = "A responsible contract limits excess fees of practitioners outside the controlled-fee option"
    message_fr = "Un contrat responsable limite les dépassements des praticiens hors option de maîtrise tarifaire."
    next_step_fr = "Limitez cette ligne à 200 % de la base, ou déclarez le produit non responsable."
    hint = "CSS R871-2: HOSP excess_fees_not_optam at most 20000 basis points, the AMO's share included."


class ResponsibleClassA(Problem):
    code = "responsible_class_a"
    status = 422
    title = "A responsible contract pays class A in full"
    message_fr = "Un contrat responsable prend en charge les équipements de classe A (100 % Santé) en entier."
    next_step_fr = "Mettez cette ligne aux frais réels sans plafond, ou retirez-la : la règle s'applique d'elle-même."
    hint = "CSS R871-2: OPTI lines of class A must be a remainder without a ceiling, or be left out."


class ResponsibleFrame(Problem):
    code = "responsible_frame"
    status = 422
    title = "A responsible contract pays at most the national ceiling for a frame"
    message_fr = "Un contrat responsable limite la monture au plafond national."
    next_step_fr = "Ramenez le montant de la monture au plafond, ou déclarez le produit non responsable."
    hint = "CSS R871-2: OPTI frame_b; the ceiling is optical_frame_ceiling of GET /v1/tariffs."


class ResponsibleRenewal(Problem):
    code = "responsible_renewal"
    status = 422
    title = "A responsible contract renews glasses no sooner than the national period"
    message_fr = "Un contrat responsable ne renouvelle pas les lunettes avant le délai national."
    next_step_fr = "Allongez le délai de renouvellement, ou déclarez le produit non responsable."
    hint = "CSS R871-2: renewal_months of an OPTI line may not be under optical_renewal_months of GET /v1/tariffs."


class ResponsibleEquipmentCeiling(Problem):
    code = "responsible_equipment_ceiling"
    status = 422
    title = "A responsible contract pays at most the national ceiling for a pair of lenses"
    message_fr = "Un contrat responsable limite l'équipement au plafond national de la paire de verres."
    next_step_fr = "Diminuez le montant des verres de cette paire, ou déclarez le produit non responsable."
    hint = "CSS R871-2: the two lenses' amounts together; optical_ceiling_a to _f of GET /v1/tariffs."


class ResponsibleEquipmentFloor(Problem):
    code = "responsible_equipment_floor"
    status = 422
    title = "A responsible contract that pays optics pays at least the national floor of a pair"
    message_fr = "Un contrat responsable qui couvre l'optique garantit au moins le plancher national de l'équipement."
    next_step_fr = "Augmentez le montant des verres ou de la monture, ou déclarez le produit non responsable."
    hint = "CSS R871-2: lenses and frame together; optical_floor_a to _f of GET /v1/tariffs."


class TariffUnknown(Problem):
    code = "tariff_unknown"
    status = 422
    title = "There is no tariff of this code"
    message_fr = "Ce tarif n'existe pas."
    next_step_fr = "Consultez la liste des tarifs."
    hint = "tpgateway tariffs list"
