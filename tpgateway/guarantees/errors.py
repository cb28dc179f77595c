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
