//! LOCAL EXCEPTIONS: RFC 8416 and its extension for ASPAs (draft-ietf-sidrops-aspa-slurm).
