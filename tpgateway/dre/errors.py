"""What can go wrong with DRE tables."""

from tpgateway.errors import Problem


class NoTables(Problem):
    code = "no_tables"
    status = 404
    title = "There is no such version of the tables for this speciality"
    message_fr = "Cette version des tables n'existe pas pour votre spécialité."
    next_step_fr = "Téléchargez la dernière version."
    hint = "GET /v1/dre/tables lists the versions; latest stands for the newest."


class EffectiveInPast(Problem):
    code = "effective_in_past"
    status = 422
    title = "Tables cannot take effect in the past"
    message_fr = "La date d'effet est passée."
    next_step_fr = "Choisissez aujourd'hui ou une date à venir."
    hint = "Software has already billed by the version in force on past days."


class TablesChanged(Problem):
    code = "tables_changed"
    status = 409
    title = "What would be published is no longer what was shown"
    message_fr = "Ce qui serait publié a changé entre-temps."
    next_step_fr = "Relisez les changements, puis publiez à nouveau."
    hint = "A convention, a product, an insurer or a version came between. Run the command again."
