"""What can go wrong with a check or an import."""

from tpgateway.errors import Problem


class BirthDateInvalid(Problem):
    code = "birth_date_invalid"
    status = 422
    title = "A birth date is text of 8 digits"
    message_fr = "La date de naissance doit avoir 8 chiffres : AAAAMMJJ."
    next_step_fr = "Recopiez la date telle qu'elle figure sur la carte, même si elle paraît impossible."
    hint = "YYYYMMDD as text. Calendar dates are not enforced: some cards carry lunar dates such as 19451300."


class CareDateOutOfRange(Problem):
    code = "care_date_out_of_range"
    status = 422
    title = "The day of care is too far from today"
    message_fr = "La date des soins est trop éloignée."
    next_step_fr = "Corrigez la date des soins."
    hint = "At most three years back and one year ahead."


class ClosesTooMany(Problem):
    code = "closes_too_many"
    status = 409
    title = "The file would close the rights of an unusual share of people"
    message_fr = "Ce fichier fermerait les droits d'une part inhabituelle des personnes."
    next_step_fr = "Vérifiez que le fichier est complet ; s'il l'est, renvoyez-le en confirmant."
    hint = "Nothing was changed. If it is what you mean, send it again with confirm_closing=true (--confirm-closing)."


class RightsFileUnreadable(Problem):
    code = "rights_file_unreadable"
    status = 422
    title = "The rights file cannot be read"
    message_fr = "Le fichier des droits est illisible."
    next_step_fr = "Vérifiez le format du fichier puis renvoyez-le : rien n'a été modifié."
    hint = "UTF-8, semicolons, the header line first; see schemas/README.md. Nothing was changed."


class ProofMistyped(Problem):
    code = "proof_mistyped"
    status = 422
    title = "The proof number is not well formed"
    message_fr = "Le numéro de vérification est mal recopié."
    next_step_fr = "Relisez les 12 caractères du numéro."
    hint = "Twelve characters, the last of them a check character; hyphens, case and spaces do not matter."


class PersonNamedTwice(Problem):
    code = "person_named_twice"
    status = 422
    title = "The card or the person is named in two ways at once"
    message_fr = "La personne est désignée deux fois."
    next_step_fr = "Gardez une seule façon de désigner la personne : la carte, le numéro d'adhérent ou le NIR."
    hint = (
        "Send membership_number and birth_rank, or nir, or datamatrix (with birth_date, birth_rank, convention_type)."
    )


class CardUnreadable(Problem):
    code = "card_unreadable"
    status = 422
    title = "The text is not that of a card's DataMatrix"
    message_fr = "Le code de la carte n'est pas reconnu."
    next_step_fr = "Lisez le code une nouvelle fois, ou saisissez les informations de la carte."
    hint = (
        "The decoded text as schemas/README.md has it, version 1; scanners that act as a keyboard must use its layout."
    )


class BeneficiaryNeeded(Problem):
    code = "beneficiary_needed"
    status = 422
    title = "The card has several beneficiaries, and which one is meant was not said"
    message_fr = "La carte couvre plusieurs personnes."
    next_step_fr = "Indiquez la date de naissance du patient, et son rang de naissance pour des jumeaux."
    hint = "Send birth_date beside datamatrix, and birth_rank where two of the card have the same."


class BeneficiaryNotOnCard(Problem):
    code = "beneficiary_not_on_card"
    status = 422
    title = "No beneficiary of the card has this birth date and rank, or the card has no such convention type"
    message_fr = "Aucune personne de la carte ne correspond à ces informations."
    next_step_fr = "Relisez la date et le rang de naissance, et le type de convention, sur la carte."
    hint = "birth_date, birth_rank and convention_type choose among what the DataMatrix holds."


class NoCodeInPhoto(Problem):
    code = "no_code_in_photo"
    status = 422
    title = "No card's DataMatrix was found in the photo"
    message_fr = "Aucun code de carte n'a été trouvé sur la photo."
    next_step_fr = "Reprenez la photo : le code net, bien éclairé et entier, sans reflet."
    hint = "PNG or JPEG, with one DataMatrix that schemas/README.md describes."


class PhotoUnreadable(Problem):
    code = "photo_unreadable"
    status = 422
    title = "The photo cannot be opened"
    message_fr = "La photo ne peut pas être ouverte."
    next_step_fr = "Envoyez une photo au format JPEG ou PNG."
    hint = "PNG or JPEG by content, within the limit of pixels."


class ChecksLocked(Problem):
    code = "checks_locked"
    status = 429
    title = "Card checks of this account are locked after unusual use"
    message_fr = "Les vérifications de cartes sont bloquées après une activité inhabituelle."
    next_step_fr = (
        "Si c'était vous, appelez l'assistance pour les débloquer ; sinon changez vos mots de passe et vos accès."
    )
    hint = "Too many different people or unknown people were asked for. Retry-After says when the lock ends by itself."


class ChecksTooFast(Problem):
    code = "checks_too_fast"
    status = 429
    title = "Too many checks of this account wait to be answered, as unusual use slows it down"
    message_fr = "Trop de vérifications sont en attente pour votre compte."
    next_step_fr = "Patientez quelques secondes, puis recommencez."
    hint = "Checks are answered more and more slowly as a quota nears; send one at a time."


class LineTooLong(Problem):
    code = "line_too_long"
    status = 413
    title = "A line of the batch is too long"
    message_fr = "Une ligne du lot est trop longue."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "At most 8,192 bytes a line."


class TooManyLines(Problem):
    code = "too_many_lines"
    status = 413
    title = "The batch has too many lines"
    message_fr = "Le lot contient trop de vérifications."
    next_step_fr = "Envoyez le reste dans un autre lot."
    hint = "At most 10,000 lines a call; those before this answer were checked."


class NotCovered(Problem):
    code = "check_not_covered"
    status = 409
    title = "The check came to no cover: there is no product to show"
    message_fr = "Cette vérification n'a pas ouvert de droits : il n'y a pas de garanties à montrer."
    next_step_fr = "Relisez la réponse de la vérification."
    hint = "Only a check whose outcome is covered has a product."
