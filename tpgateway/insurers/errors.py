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


class OwnPlace(Problem):
    code = "own_place"
    status = 409
    title = "Nobody changes his own role or removes himself"
    message_fr = "Vous ne pouvez pas changer votre propre rôle ni vous retirer."
    next_step_fr = "Demandez-le à un autre gestionnaire."
    hint = "So that an account always has an owner."


class InsurerStateAlready(Problem):
    code = "insurer_state_already"
    status = 409
    title = "The insurer is in this state already"
    message_fr = "L'organisme est déjà dans cet état."
    next_step_fr = "Il n'y a rien à faire."
    hint = "tpgateway insurers list shows states."


class CursorAhead(Problem):
    code = "cursor_ahead"
    status = 422
    title = "There is no event with this number yet"
    message_fr = "La position de lecture dépasse le dernier événement."
    next_step_fr = "Reprenez la lecture à la dernière position traitée."
    hint = "after is the sequence of an event that you have had. Was your cursor kept for another gateway?"


class EndpointOff(Problem):
    code = "endpoint_off"
    status = 409
    title = "Nothing can be posted there: there is no endpoint in use"
    message_fr = "Aucun point de réception n'est en service."
    next_step_fr = "Remettez le point de réception en service, puis redemandez les événements."
    hint = 'PATCH the endpoint with {"enabled": true} first; the events stand in GET /v1/insurer/events all the while.'


class EndpointRotates(Problem):
    code = "endpoint_rotates"
    status = 409
    title = "The endpoint's former secret still signs"
    message_fr = "Un changement de secret est déjà en cours."
    next_step_fr = "Attendez la fin du délai, ou mettez fin à l'ancien secret tout de suite."
    hint = "overlap_hours: 0 ends both former secrets at once."


class KeyRotates(Problem):
    code = "key_rotates"
    status = 409
    title = "The client's former key still works"
    message_fr = "Un changement de clé est déjà en cours."
    next_step_fr = "Attendez la fin du délai, ou mettez fin à l'ancienne clé tout de suite."
    hint = "overlap_hours: 0 ends the former key at once."


class OwnClient(Problem):
    code = "own_client"
    status = 409
    title = "This is the client that calls: it cannot end itself"
    message_fr = "Un accès ne peut pas se supprimer lui-même."
    next_step_fr = "Créez un autre accès, puis supprimez celui-ci avec le nouveau."
    hint = "Get a token with another client of the insurer first."


class EndpointRefused(Problem):
    code = "endpoint_refused"
    status = 422
    title = "Events cannot be sent to this address"
    message_fr = "L'adresse de réception n'est pas acceptée."
    next_step_fr = "Indiquez une adresse https publique."
    hint = "https, a public host name, no user or fragment. TPG_WEBHOOK_PRIVATE_TARGETS lifts this outside production."
