"""What can go wrong with an account."""

from tpgateway.errors import Problem


class IdentifierTaken(Problem):
    code = "identifier_taken"
    status = 409
    title = "An account already holds this identifier"
    message_fr = "Un compte existe déjà pour ce numéro."
    next_step_fr = "Connectez-vous avec ce numéro, ou demandez un nouveau mot de passe."
    hint = "One account holds an identifier: the first whose activation link was used."


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


class AccountInReview(Problem):
    code = "account_in_review"
    status = 403
    title = "The registration is being looked at by a person"
    message_fr = "Votre inscription est en cours de vérification."
    next_step_fr = "Vous recevrez la décision par mail."
    hint = "Nothing that software can do."


class AccountRefused(Problem):
    code = "account_refused"
    status = 403
    title = "The registration was refused"
    message_fr = "Votre inscription a été refusée."
    next_step_fr = "Contactez l'assistance du réseau."
    hint = "The reason was mailed; registering again with right data is possible."


class PrivacyNotAccepted(Problem):
    code = "privacy_not_accepted"
    status = 422
    title = "The privacy notice was not acknowledged"
    message_fr = "La notice de confidentialité doit être lue et acceptée."
    next_step_fr = "Lisez la notice puis cochez la case."
    hint = "privacy_accepted must be true; GET /v1/terms has the texts."


class MobileInvalid(Problem):
    code = "mobile_invalid"
    status = 422
    title = "The number is no mobile number that can be called"
    message_fr = "Ce numéro de mobile n'est pas valable."
    next_step_fr = "Écrivez-le comme 06 12 34 56 78, ou avec son indicatif : +590 690…"
    hint = "National numbers are read as French, overseas included; all others need their + prefix."


class BicCountryDiffers(Problem):
    code = "bic_country_differs"
    status = 422
    title = "BIC and IBAN are of different countries"
    message_fr = "Le BIC et l'IBAN ne sont pas du même pays."
    next_step_fr = "Recopiez les deux depuis le même relevé d'identité bancaire."
    hint = "Characters 5 and 6 of the BIC are the bank's country, the first two of the IBAN the account's."


class IbanOfAnotherBank(Problem):
    code = "iban_of_another_bank"
    status = 422
    title = "The IBAN is of another bank than the BIC"
    message_fr = "Le BIC n'est pas celui de la banque de cet IBAN."
    next_step_fr = "Recopiez les deux depuis le même relevé d'identité bancaire."
    hint = "The five digits after the key of a French IBAN name the bank."


class IbanMissing(Problem):
    code = "iban_missing"
    status = 422
    title = "An account that is paid by transfer keeps an IBAN"
    message_fr = "L'IBAN manque."
    next_step_fr = "Indiquez l'IBAN qui va avec ce BIC."
    hint = "Once an IBAN is kept, new details need one too."


class HolderNeeded(Problem):
    code = "holder_needed"
    status = 403
    title = "Only the account's holder can do this"
    message_fr = "Seul le titulaire du compte peut faire cela."
    next_step_fr = "Demandez-le au titulaire, qui se connecte avec le numéro seul."
    hint = "The holder opened the account; other owners cannot close it."


class IdentifierInReview(Problem):
    code = "identifier_in_review"
    status = 409
    title = "Another number of this kind waits for a person's decision"
    message_fr = "Un numéro de ce type est déjà en cours de vérification pour votre compte."
    next_step_fr = "Attendez la décision, envoyée par mail. Le numéro était faux ? Écrivez à l'assistance du réseau."
    hint = "One claim at a time."


class RotationUnderWay(Problem):
    code = "rotation_under_way"
    status = 409
    title = "The credential before the last rotation still works"
    message_fr = "Le secret précédent de cet accès est encore valable."
    next_step_fr = "Attendez la fin de sa validité, ou renouvelez sans délai."
    hint = "Wait until former_until, or send overlap_hours 0, which ends both former credentials at once."


class NoPendingBankDetails(Problem):
    code = "no_pending_bank_details"
    status = 409
    title = "No bank details wait to come into force"
    message_fr = "Aucun changement de coordonnées bancaires n'est en attente."
    next_step_fr = "Si le changement est déjà en vigueur, demandez-en un nouveau."
    hint = "GET /v1/me/bank-details shows what is in force and what waits."


class IdentifierNotForPerson(Problem):
    code = "identifier_not_for_this_account"
    status = 422
    title = "This scheme cannot be added to this account"
    message_fr = "Ce type de numéro ne peut pas être ajouté à ce compte."
    next_step_fr = "Un compte Adeli peut recevoir son numéro RPPS."
    hint = "RPPS numbers are added to accounts of persons that have none."


class PscOff(Problem):
    code = "psc_not_configured"
    status = 404
    title = "Pro Santé Connect is not offered here"
    message_fr = "La connexion par Pro Santé Connect n'est pas disponible."
    next_step_fr = "Connectez-vous avec votre numéro et votre mot de passe."
    hint = "TPG_PSC_ISSUER is not set."


class PscRefused(Problem):
    code = "psc_refused"
    status = 401
    title = "What came back from Pro Santé Connect cannot be accepted"
    message_fr = "La connexion par Pro Santé Connect n'a pas abouti."
    next_step_fr = "Recommencez ; si cela persiste, connectez-vous avec votre numéro et votre mot de passe."
    hint = "State, nonce, signature, audience, expiry or level did not hold, or the provider refused; see detail."


class PscUnavailable(Problem):
    code = "psc_unavailable"
    status = 502
    title = "Pro Santé Connect does not answer"
    message_fr = "Pro Santé Connect ne répond pas."
    next_step_fr = "Recommencez dans quelques instants, ou connectez-vous avec votre numéro et votre mot de passe."
    hint = "The provider could not be reached, or answered with something else."


class PscUnknown(Problem):
    code = "psc_account_unknown"
    status = 403
    title = "No account holds the RPPS or Adeli number that Pro Santé Connect names"
    message_fr = "Aucun compte du réseau ne porte votre numéro RPPS ou Adeli."
    next_step_fr = "Inscrivez-vous avec ce numéro, ou ajoutez-le à votre compte Adeli."
    hint = "Register by the same number, or add it with POST /v1/me/identifiers."


class PscOtherPerson(Problem):
    code = "psc_other_person"
    status = 403
    title = "The account is linked to another identity of Pro Santé Connect"
    message_fr = "Ce compte est déjà relié à une autre identité Pro Santé Connect."
    next_step_fr = (
        "Connectez-vous avec votre numéro et votre mot de passe ; si l'identité est la vôtre, contactez le réseau."
    )
    hint = "The provider's sub is not the one that the account was linked to; the operator can unlink them."
