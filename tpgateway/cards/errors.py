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
    title = "The full file would close the rights of an unusual share of people"
    message_fr = "Ce fichier fermerait les droits d'une part inhabituelle des personnes."
    next_step_fr = "Vérifiez que le fichier est complet ; s'il l'est, renvoyez-le en confirmant."
    hint = "Nothing was changed. Send it again with confirm_closing=true if it is what you mean; TPG_CLOSING_PERCENT."


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
