"""What can go wrong with an insurer's account."""

from tpgateway.errors import Problem


class InsurerUnknown(Problem):
    code = "insurer_unknown"
    status = 422
    title = "No insurer of the network has this AMC number"
    message_fr = "Cet organisme complémentaire ne fait pas partie du réseau."
    next_step_fr = "Relisez le numéro AMC sur la carte ; s'il est exact, facturez l'assuré."
    hint = "Numbers are compared padded to ten digits."


class InsurerExists(Problem):
    code = "insurer_exists"
    status = 409
    title = "An insurer with this AMC number exists already"
    message_fr = "Cet organisme existe déjà."
    next_step_fr = "Ajoutez-lui une clé plutôt que de le créer de nouveau."
    hint = "tpgateway insurers list shows them."


class EndpointRefused(Problem):
    code = "endpoint_refused"
    status = 422
    title = "Events cannot be sent to this address"
    message_fr = "L'adresse de réception n'est pas acceptée."
    next_step_fr = "Indiquez une adresse https publique."
    hint = "https, a public host name, no user or fragment. TPG_WEBHOOK_PRIVATE_TARGETS lifts this outside production."
