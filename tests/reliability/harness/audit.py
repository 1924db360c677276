"""Known faults of the packages that the constraints name, by pip-audit, which asks the index of packages."""

import json
import subprocess
import sys
from pathlib import Path


def audited(constraints):
    """What pip-audit knows of them in a line, and of how many it could not ask."""
    program = Path(sys.executable).with_name("pip-audit")
    if not program.exists():
        return "pip-audit is not installed: pip install -c constraints.txt -e '.[audit]'"
    done = subprocess.run(
        [program, "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off", "-r", constraints],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return summary(done.stdout) or f"pip-audit could not ask: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"


def summary(report):
    """Its report in JSON, in a line: what is skipped is no package without faults. None: it is no report."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    asked = [package for package in packages if "vulns" in package]
    known = [
        f"{package['name']} {package['version']}: {fault['id']}" for package in asked for fault in package["vulns"]
    ]
    skipped = [package for package in packages if "vulns" not in package]
    said = [f"pip-audit knows {len(known)} faults of the {len(asked)} packages that it could ask about"]
    said += [", ".join(known)] * bool(known)
    said += [f"{len(skipped)} could not be looked up ({skipped[0]['skip_reason']})"] * bool(skipped)
    return "; ".join(said)
