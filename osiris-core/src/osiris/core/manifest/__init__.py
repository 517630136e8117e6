"""Text to a Manifest: what the user wrote, checked, with parameters filled in and a place for every mistake."""

from osiris.core.manifest.load import load_manifest, manifest_from_dict, parse_manifest
from osiris.core.manifest.model import Manifest

__all__ = ["Manifest", "load_manifest", "manifest_from_dict", "parse_manifest"]
