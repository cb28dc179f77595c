"""What can go wrong with people and their credentials."""

from tpgateway.errors import Problem


class PasswordTooWeak(Problem):
    code = "password_too_weak"
    status = 422
    title = "The password does not meet the rules"
    message_fr = "Le mot de passe est trop faible."
    next_step_fr = "Choisissez-en un de plus de 8 caractères, avec une majuscule, une minuscule et un chiffre."
    hint = "More than 8 characters, one digit, one upper and one lower case letter; it may not hold the identifier."


class PasswordTooCommon(Problem):
    code = "password_too_common"
    status = 422
    title = "The password stands in lists of common ones"
    message_fr = "Ce mot de passe est trop courant : il serait vite deviné."
    next_step_fr = "Choisissez-en un autre, par exemple plusieurs mots qui ne vont pas ensemble."
    hint = (
        "Common words with digits or signs around them, words of the trade with little else, and sequences count too."
    )


class PasswordsDiffer(Problem):
    code = "passwords_differ"
    status = 422
    title = "Password and confirmation differ"
    message_fr = "Les deux mots de passe saisis sont différents."
    next_step_fr = "Saisissez deux fois le même mot de passe."
    hint = "password_confirmation, where it is sent, must equal password."


class EmailInvalid(Problem):
    code = "email_invalid"
    status = 422
    title = "The e-mail address cannot be used"
    message_fr = "Cette adresse électronique n'est pas valable."
    next_step_fr = "Vérifiez l'adresse, sans accents ni espaces."
    hint = "One plain address of ASCII characters before the @ and a domain that can receive mail; no display name."


class NameInvalid(Problem):
    code = "name_invalid"
    status = 422
    title = "The name holds characters that no name has"
    message_fr = "Le nom contient des caractères qui ne sont pas acceptés."
    next_step_fr = "Écrivez-le en lettres latines, avec ou sans accents."
    hint = (
        "Latin letters, digits and ordinary punctuation; no other scripts, no invisible characters, no links, no < >."
    )


class LoginRefused(Problem):
    code = "login_refused"
    status = 401
    title = "Identifier and password do not go together"
    message_fr = "Identifiant ou mot de passe incorrect."
    next_step_fr = (
        "Vérifiez le type de numéro choisi. Si vous venez de vous inscrire, ouvrez d'abord le lien reçu par mail."
    )
    hint = "The same answer whether or not the account exists."


class LoginSlowed(Problem):
    code = "login_slowed"
    status = 429
    title = "After several failures, the next attempt must wait"
    message_fr = "Plusieurs essais ont échoué : attendez un peu avant le prochain."
    next_step_fr = "Patientez quelques secondes, ou demandez un nouveau mot de passe."
    hint = "Wait for Retry-After seconds. The same whether or not the account exists."


class LoginLocked(Problem):
    code = "login_locked"
    status = 429
    title = "Too many failures: this door is locked for a time"
    message_fr = "Trop d'essais ont échoué : par sécurité, cette connexion est bloquée pour un moment."
    next_step_fr = "Patientez, ou demandez un nouveau mot de passe, ce qui débloque tout de suite."
    hint = (
        "Wait for Retry-After seconds. The same whether or not the account exists; a known browser has its own count."
    )


class CodeRefused(Problem):
    code = "code_refused"
    status = 422
    title = "The code is wrong, too old or was used"
    message_fr = "Ce code n'est pas le bon, ou n'est plus valable."
    next_step_fr = "Saisissez le dernier code reçu ou affiché, ou demandez-en un nouveau."
    hint = "Six digits by mail or application; a recovery code as it was shown."


class CodesTooMany(Problem):
    code = "codes_too_many"
    status = 429
    title = "Too many codes were asked for within the hour"
    message_fr = "Trop de codes ont été demandés."
    next_step_fr = (
        "Patientez un moment avant d'en demander un autre, ou, pour vous connecter, utilisez un appareil déjà connu."
    )
    hint = "Wait for Retry-After seconds."


class MailsTooMany(Problem):
    code = "mails_too_many"
    status = 429
    title = "The practice caused too many mails to other addresses today"
    message_fr = "Trop de messages ont été envoyés aujourd'hui par votre structure."
    next_step_fr = "Recommencez demain, ou contactez l'assistance du réseau."
    hint = "Invitations and changes of address are limited by practice and day."


class TotpAlreadyThere(Problem):
    code = "totp_already_there"
    status = 409
    title = "An authenticator application is already in use"
    message_fr = "Une application d'authentification est déjà en place."
    next_step_fr = "Retirez-la d'abord, puis ajoutez la nouvelle."
    hint = "DELETE /v1/me/second-factor/totp first."


class TotpMissing(Problem):
    code = "totp_missing"
    status = 409
    title = "No authenticator application is in use, or none waits to be confirmed"
    message_fr = "Aucune application d'authentification n'est en place."
    next_step_fr = "Ajoutez d'abord une application."
    hint = "POST /v1/me/second-factor/totp first."


class MemberAlreadyThere(Problem):
    code = "member_already_there"
    status = 409
    title = "This address already belongs to one of the people of the practice"
    message_fr = "Cette adresse est déjà celle d'une personne de votre structure."
    next_step_fr = (
        "Modifiez le rôle de la personne. Pour renvoyer une invitation perdue, retirez-la puis invitez de nouveau."
    )
    hint = "GET /v1/me/members lists them."


class HolderStays(Problem):
    code = "holder_stays"
    status = 409
    title = "The account's holder keeps the owner's role and cannot be removed"
    message_fr = "Le titulaire du compte ne peut ni être retiré ni changer de rôle."
    next_step_fr = "Pour partir, le titulaire ferme le compte ou change son adresse."
    hint = "Close the account with POST /v1/me/closure."


class EmailTaken(Problem):
    code = "email_taken"
    status = 409
    title = "The address is already used within the practice"
    message_fr = "Cette adresse est déjà utilisée dans votre structure."
    next_step_fr = "Choisissez-en une autre."
    hint = "Each of the people of a practice has an address of his own."
