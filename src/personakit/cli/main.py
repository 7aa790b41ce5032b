"""The command `personakit`: its table of commands. Exit codes: 0 done, 1 the answer is no (something was
rejected or is not valid), 2 usage or settings, 3 no service can be reached.
"""

from __future__ import annotations

import click

from personakit.cli.lazy_group import LazyCommand, LazyGroup
from personakit.cli.options import data_dir_option, port_option

COMMANDS = {
    "api": LazyCommand("personakit.cli.api:api", "Serve the API; the work is done by `worker` processes."),
    "audit": LazyCommand("personakit.cli.audit:audit", "Say who read or changed whose data."),
    "backup": LazyCommand(
        "personakit.cli.backup:backup", "Back up the log, and people's keys apart from it."
    ),
    "demo": LazyCommand(
        "personakit.cli.demo:demo", "Import a history into a running service, and show what to ask."
    ),
    "doctor": LazyCommand("personakit.cli.doctor:doctor", "Look at the store of an application."),
    "import": LazyCommand("personakit.cli.imports:import_", "Import a history: git, ics or jsonl."),
    "keys": LazyCommand("personakit.cli.keys:keys", "Create, list, revoke and rotate API keys."),
    "map": LazyCommand("personakit.cli.map:map_", "Ask a mapper for suggestions for a persona."),
    "mappers": LazyCommand("personakit.cli.mappers.group:mappers", "Work on mappers: test, push, explain …"),
    "mindscapes": LazyCommand(
        "personakit.cli.mindscapes:mindscapes", "See what other rules would make of observations."
    ),
    "master-key": LazyCommand(
        "personakit.cli.master_key:master_key_group", "Rotate the master key, which wraps people's keys."
    ),
    "observe": LazyCommand("personakit.cli.observe:observe", "Record one observation."),
    "people": LazyCommand(
        "personakit.cli.people.group:people", "List, export and erase people; what they consent to."
    ),
    "projections": LazyCommand("personakit.cli.projections:projections", "Watch the read models."),
    "restore": LazyCommand("personakit.cli.restore:restore_", "Restore a backup into an empty database."),
    "tenants": LazyCommand("personakit.cli.tenants:tenants", "Create tenants."),
    "traits": LazyCommand("personakit.cli.traits.group:traits", "Work on documents of computed traits."),
    "up": LazyCommand("personakit.cli.up:up", "Run the whole service on this machine."),
    "why": LazyCommand("personakit.cli.why:why", "Say why a suggestion was made."),
    "worker": LazyCommand("personakit.cli.worker:worker", "Do the work behind `api` processes."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@data_dir_option
@port_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@click.version_option(package_name="personakit", message="%(prog)s %(version)s")
def personakit(**_: object) -> None:
    """Software that understands a person, and says why it believes what it believes.

    The service is found by --port, else PERSONAKIT_URL, else on port 8042 of this machine; its key in
    PERSONAKIT_API_KEY, else in the file `api-key` of the data directory.
    """


def main() -> None:
    """The entry point: runs one command and exits with its code."""
    personakit(prog_name="personakit")
