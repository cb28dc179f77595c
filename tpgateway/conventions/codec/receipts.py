"""The receipt of a signature, as a PDF to keep."""

from dataclasses import dataclass

from tpgateway.conventions.model import Convention, Signature
from tpgateway.paper import day_fr
from tpgateway.web.routing import PARIS


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed: the practice, its numbers, and the person where it is known."""

    practitioner: str
    identifiers: tuple[str, ...]
    person: str | None


def write_receipt(convention: Convention, signature: Signature, signer: Signer, *, network_contact: str) -> bytes:
    """What was signed, by whom, when; the hash tells that the text was not changed since.

    To be called aside from the event loop.
    """
    from tpgateway.paper.pdf import Paper  # noqa: PLC0415  # 25 MB and a quarter of a second, for this alone

    signed_at = signature.signed_at.astimezone(PARIS)
    pdf = Paper("Reçu de signature", foot=f"Une question : {network_contact}", made_at=signature.signed_at)
    pdf.write_line(
        "Ce reçu atteste que la convention ci-dessous a été signée électroniquement sur le réseau de tiers payant, après"
        " contrôle d'un second facteur d'authentification."
    )
    pdf.ln(3)
    pdf.fact("Convention", convention.terms.title)
    pdf.fact("Version", f"{convention.version}, en vigueur à partir du {day_fr(convention.terms.valid_from)}")
    pdf.fact("Professionnel", signer.practitioner)
    pdf.fact("Identifiants", ", ".join(signer.identifiers))
    if signer.person:
        pdf.fact("Signataire", signer.person)
    pdf.fact("Signée le", f"{day_fr(signed_at.date())} à {signed_at:%H:%M:%S} (heure de Paris)")
    if signature.left_on:
        pdf.fact("Quittée", f"plus d'effet à partir du {day_fr(signature.left_on)}")
    pdf.fact("SHA-256 du texte", signature.text_hash.hex())
    pdf.ln(3)
    pdf.write_line(
        "Pour vérifier le texte : téléchargez-le au format Markdown et calculez son empreinte SHA-256, qui doit être celle"
        " ci-dessus."
    )
    return pdf.as_bytes()
