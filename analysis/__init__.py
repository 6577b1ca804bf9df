"""Tables and figures of run directories; see docs/reproducing.md."""
