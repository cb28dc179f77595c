"""tpgateway: the gateway of a third-party-payment network."""
