"""Specialities in French, for people."""

from collections.abc import Mapping

from tpgateway.practitioners.model import Specialty

SPECIALTIES_FR: Mapping[Specialty, str] = {
    Specialty.PHARMACY: "Pharmacie",
    Specialty.OPTICS: "Optique",
    Specialty.RADIOLOGY: "Radiologie",
    Specialty.LABORATORY: "Laboratoire",
    Specialty.DENTAL: "Dentaire",
    Specialty.MEDICINE: "Médecine",
    Specialty.NURSING: "Soins infirmiers",
    Specialty.PHYSIOTHERAPY: "Kinésithérapie",
    Specialty.HEARING_AIDS: "Audioprothèse",
    Specialty.MIDWIVES: "Sages-femmes",
    Specialty.HOSPITAL: "Hôpital",
    Specialty.TRANSPORT: "Transport",
}
