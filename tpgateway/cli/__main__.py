"""``python -m tpgateway.cli``: the same as ``tpgateway``."""

from tpgateway.cli import main

main()
