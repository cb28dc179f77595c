"""What can go wrong with a convention."""

from tpgateway.errors import Problem


class NoConvention(Problem):
    code = "no_convention"
    status = 404
    title = "No convention of this speciality is in force on that date"
    message_fr = "Aucune convention de cette spécialité n'est en vigueur à cette date."
    next_step_fr = "Choisissez une autre date ou une autre spécialité."
    hint = "GET /v1/conventions lists those in force."


class OtherSpecialty(Problem):
    code = "other_specialty"
    status = 403
    title = "A practitioner signs the convention of the own speciality"
    message_fr = "Cette convention n'est pas celle de votre spécialité."
    next_step_fr = "Signez la convention de votre spécialité."
    hint = "GET /v1/me names the speciality."


class ConventionOutdated(Problem):
    code = "convention_outdated"
    status = 409
    title = "The version to be signed is not the one in force"
    message_fr = "Une autre version de la convention est en vigueur."
    next_step_fr = "Relisez la version en vigueur puis signez-la."
    hint = "Send the version that GET /v1/conventions/{specialty} answers."


class NotSigned(Problem):
    code = "not_signed"
    status = 409
    title = "There is no signature to be taken back"
    message_fr = "Vous n'avez pas signé cette convention, ou vous l'avez déjà quittée."
    next_step_fr = "Il n'y a rien à faire."
    hint = "GET /v1/conventions/{specialty} shows the signature and its end."


class ConventionOverlaps(Problem):
    code = "convention_overlaps"
    status = 409
    title = "Another version of this convention is in force within the period"
    message_fr = "Une autre version de la convention est en vigueur sur cette période."
    next_step_fr = "Changez les dates."
    hint = "A version that begins later ends the one before; none may begin within or before a published later one."


class ConventionInPast(Problem):
    code = "convention_in_past"
    status = 422
    title = "A further version of a convention cannot begin in the past"
    message_fr = "Une nouvelle version de la convention ne peut pas commencer dans le passé."
    next_step_fr = "Choisissez aujourd'hui ou une date à venir."
    hint = "Checks were answered, and practitioners have billed, by the version in force on past days."


class ConventionUnreadable(Problem):
    code = "convention_unreadable"
    status = 422
    title = "A convention's files cannot be read"
    message_fr = "Les fichiers d'une convention sont illisibles."
    next_step_fr = "Corrigez les fichiers."
    hint = "Each convention is SPECIALTY.toml (terms) beside SPECIALTY.md (text); detail names what is wrong."
