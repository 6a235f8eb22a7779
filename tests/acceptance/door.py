"""The product behind its door: bots, an EHR and billing are clients with the scopes they need."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bots.connectors import backend_services
from tests import samples
from tests.programs import Programs

# What docs/access.md says that each of them needs.
BOTS = "system/*.crus"
EHR = (
    "system/Patient.crus system/Organization.crus system/Coverage.crus "
    "system/CoverageEligibilityRequest.rs system/CoverageEligibilityResponse.rs system/Task.rs"
)
BILLING = "system/DocumentReference.rs system/Binary.r system/AuditEvent.c"
KEYS = {name: json.dumps(backend_services.new_key()) for name in ("bots", "ehr", "billing")}


@contextmanager
def behind_door(
    folder: Path, database: str, settings: Mapping[str, str] | None = None
) -> Iterator[Programs]:
    """Run the programs with a clinic and a payer; the test is the EHR."""
    smart = {
        "INFORCE_AUTH": "smart", "INFORCE_BOTS_FHIR_CLIENT_ID": "bots",
        "INFORCE_BOTS_FHIR_KEY": KEYS["bots"], **(settings or {}),
    }  # fmt: skip
    started = Programs(folder, database, smart)
    for name, scope in (("bots", BOTS), ("ehr", EHR), ("billing", BILLING)):
        register(started, folder, name, scope)
    try:
        started.start("sandbox", "server", "bots")
        started.authorization = token_of(started, "ehr")
        started.register()
        for resource in (samples.clinic(), samples.payer()):
            assert started.put(resource).ok
        yield started
    finally:
        started.stop()


def register(programs: Programs, folder: Path, name: str, scope: str) -> None:
    """Make a client known by its public key."""
    file = folder / f"{name}.jwks.json"
    printed = programs.run("bots", "jwks", "--fhir", INFORCE_BOTS_FHIR_KEY=KEYS[name])
    file.write_text(printed.stdout, "utf-8")
    done = programs.run("server", "client", "add", name, "--jwks", str(file), "--scope", scope)
    assert 0 == done.returncode, done.stderr
    assert f"{name} may {scope.rsplit(maxsplit=1)[-1]}" in done.stdout or len(scope.split()) > 1


def token_of(programs: Programs, name: str) -> dict[str, str]:
    """Return the header that lets a client in for an hour."""
    token = programs.run("server", "token", name, "--minutes", "60").stdout.strip()
    return {"Authorization": f"Bearer {token}"}
