"""What an attached document is, by its content and whatever its name says."""

_SIGNATURES = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
}
ENDINGS = {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg"}


def media_type(start: bytes) -> str | None:
    """The media type of a document that begins like this; None where it is no PDF, PNG or JPEG."""
    return next((kind for signature, kind in _SIGNATURES.items() if start.startswith(signature)), None)
