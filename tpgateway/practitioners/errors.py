"""What can go wrong with an account."""

from tpgateway.errors import Problem


class IdentifierTaken(Problem):
    code = "identifier_taken"
    status = 409
    title = "An account already exists for this identifier"
    message_fr = "Un compte existe déjà pour ce numéro."
    next_step_fr = "Connectez-vous avec ce numéro, ou demandez un nouveau mot de passe."
    hint = "One account holds an identifier: the first whose activation link was used."


class PasswordTooWeak(Problem):
    code = "password_too_weak"
    status = 422
    title = "The password does not meet the rules"
    message_fr = "Le mot de passe est trop faible."
    next_step_fr = "Choisissez-en un de plus de 8 caractères, avec une majuscule, une minuscule et un chiffre."
    hint = "More than 8 characters, one digit, one upper and one lower case letter; it may not hold the identifier."


class NameMissing(Problem):
    code = "name_missing"
    status = 422
    title = "Either a person's names or a body's legal name is needed, not both"
    message_fr = "Indiquez soit le nom et le prénom, soit la raison sociale."
    next_step_fr = "Complétez le nom du professionnel ou de l'établissement."
    hint = "first_name with last_name, or legal_name."


class TreasuryNeedsEstablishment(Problem):
    code = "treasury_needs_establishment"
    status = 422
    title = "A treasury identifier comes with the establishment's FINESS or SIRET"
    message_fr = "Avec un identifiant de trésorerie, indiquez aussi le FINESS ou le SIRET de l'établissement."
    next_step_fr = "Ajoutez l'un de ces deux numéros."
    hint = "One office serves several bodies and has no key: send finess or siret beside scheme treasury."


class TermsNotAccepted(Problem):
    code = "terms_not_accepted"
    status = 422
    title = "The terms of use were not accepted"
    message_fr = "Les conditions d'utilisation doivent être acceptées."
    next_step_fr = "Lisez les conditions puis cochez la case."
    hint = "terms_accepted must be true."


class LinkUnknown(Problem):
    code = "link_unknown"
    status = 404
    title = "This link is not one of ours"
    message_fr = "Ce lien n'est pas valable."
    next_step_fr = "Ouvrez le lien du dernier message reçu, en entier."
    hint = "The token must be sent exactly as it stands in the mail."


class LinkExpired(Problem):
    code = "link_expired"
    status = 410
    title = "This link has expired"
    message_fr = "Ce lien a expiré."
    next_step_fr = "Recommencez votre inscription pour en recevoir un nouveau."
    hint = "Activation links last TPG_ACTIVATION_HOURS."


class LinkUsed(Problem):
    code = "link_used"
    status = 410
    title = "This link was already used"
    message_fr = "Ce lien a déjà servi : votre compte est activé."
    next_step_fr = "Connectez-vous."
    hint = "Links are good for one use."


class LoginRefused(Problem):
    code = "login_refused"
    status = 401
    title = "Identifier and password do not go together"
    message_fr = "Identifiant ou mot de passe incorrect."
    next_step_fr = (
        "Vérifiez le type de numéro choisi. Si vous venez de vous inscrire, ouvrez d'abord le lien reçu par mail."
    )
    hint = "The same answer whether or not the account exists."


class AccountSuspended(Problem):
    code = "account_suspended"
    status = 403
    title = "The account is suspended"
    message_fr = "Votre compte est suspendu."
    next_step_fr = "Contactez l'assistance du réseau."
    hint = "Nothing that software can do."


class AccountClosed(Problem):
    code = "account_closed"
    status = 403
    title = "The account is closed"
    message_fr = "Votre compte est fermé."
    next_step_fr = "Contactez l'assistance du réseau pour en ouvrir un nouveau."
    hint = "Nothing that software can do."
