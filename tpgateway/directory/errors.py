"""What can go wrong with the directories."""

from tpgateway.errors import Problem


class DirectoryFileUnknown(Problem):
    code = "directory_file_unknown"
    status = 422
    title = "The file is none of the directories that are known"
    message_fr = "Ce fichier n'est pas un annuaire reconnu."
    next_step_fr = "Téléchargez de nouveau l'extraction FINESS ou le fichier des professionnels de santé."
    hint = (
        "FINESS extraction (finess;etalab;…), PS_LibreAcces_Personne_activite (|), or establishments (finess,…,name)."
    )


class DirectoryShrinks(Problem):
    code = "directory_shrinks"
    status = 409
    title = "The file holds far fewer entries than the directory has from this source"
    message_fr = "Ce fichier contient bien moins de lignes que l'annuaire."
    next_step_fr = "Vérifiez que le téléchargement est complet."
    hint = "Probably cut short. To load it all the same: --confirm-shrinking."


class PostalCodeUnknown(Problem):
    code = "postal_code_unknown"
    status = 422
    title = "Nothing is known near this postal code"
    message_fr = "Ce code postal n'est pas connu."
    next_step_fr = "Vérifiez le code postal, ou essayez celui d'une ville voisine."
    hint = "Positions come from the FINESS extraction: tpgateway directory import FILE."
