"""What users may rely on, measured: `make reliability` fills `results.json`, of which `docs/reliability.md` is made."""
