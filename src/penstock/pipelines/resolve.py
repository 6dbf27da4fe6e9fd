"""What one stage's entry stands for: its contract, implementation, options and policy, or its ledger field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from penstock.errors import ConfigError, NotFound, PenstockError, UsageError
from penstock.pipelines.catalogue import Catalogue, Contract, LedgerField
from penstock.pipelines.entries import Entry
from penstock.pipelines.models import GATE, GateEntry, StageEntry
from penstock.pipelines.policies import Policies
from penstock.pipelines.problems import of_validation, of_yaml, suggest
from penstock.pipelines.source import Loc, YamlFile

INLINE_POLICY = "inline"


@dataclass(frozen=True, slots=True)
class Parts:
    """What could be found; a part that is None has a problem in the file, or none of its kind (a gate's contract)."""

    contract: Contract | None = None
    ledger_field: LedgerField | None = None
    implementation: str = ""
    options: BaseModel | None = None
    policy_name: str = ""
    policy: BaseModel | None = None


class Resolver:
    """Looks things up for the stages of one file, and notes in the file what is not to be had."""

    def __init__(
        self,
        file: YamlFile,
        catalogue: Catalogue,
        policies: Mapping[str, BaseModel],
        policy_model: type[BaseModel],
    ) -> None:
        self._file = file
        self._catalogue = catalogue
        self._policies = policies
        self._policy_model = policy_model

    def resolve(self, entry: Entry) -> Parts:
        if isinstance(entry.model, GateEntry):
            ledger_field = self._ledger_field(entry.model, entry.loc)
            return Parts(ledger_field=ledger_field, policy=self._policy_model())
        contract = self._contract(entry.model, entry.loc)
        name, options = "", None
        if contract and not entry.wrong & {"use", "with"}:
            name, options = self._implementation(entry.model, contract, entry.loc)
        policy_name, policy = "", None
        if "policy" not in entry.wrong:
            policy_name, policy = self._policy(entry.model, entry.loc)
        return Parts(contract, None, name, options, policy_name, policy)

    def _ledger_field(self, gate: GateEntry, loc: Loc) -> LedgerField | None:
        name, fields = gate.condition.ledger_field, self._catalogue.ledger_fields
        if name not in fields:
            where = (*loc, "condition", "ledger_field")
            self._file.note(where, f"no worker sets a ledger field {name!r}", suggest(name, fields))
        return fields.get(name)

    def _contract(self, stage: StageEntry, loc: Loc) -> Contract | None:
        where = (*loc, "type")
        try:
            return self._catalogue.contracts[stage.type]
        except KeyError:
            known = [*self._catalogue.contracts, GATE]
            self._file.note(where, f"there is no contract {stage.type!r}", suggest(stage.type, known))
        except UsageError as error:
            self._file.note(where, error.message, error.next_step)
        return None

    def _implementation(self, stage: StageEntry, contract: Contract, loc: Loc) -> tuple[str, BaseModel | None]:
        name = stage.use or contract.default
        where = (*loc, "use") if stage.use is not None else (*loc, "type")
        known = self._catalogue.implementations(contract.name)
        if not name:
            self._file.note(
                where, f"{contract.name} has no default implementation", f"name one by use; {suggest('', known)}"
            )
            return name, None
        try:
            model = self._catalogue.load(contract.name, name).Options
        except NotFound:
            self._file.note(where, f"{contract.name} has no implementation {name!r}", suggest(name, known))
            return name, None
        except UsageError as error:
            self._file.note(where, error.message, error.next_step)
            return name, None
        return name, self._validate(model, stage.with_, (*loc, "with") if stage.with_ else where)

    def _policy(self, stage: StageEntry, loc: Loc) -> tuple[str, BaseModel | None]:
        where = (*loc, "policy")
        if isinstance(stage.policy, dict):
            return INLINE_POLICY, self._validate(self._policy_model, stage.policy, where)
        broken = self._policies.why_missing(stage.policy) if isinstance(self._policies, Policies) else None
        if stage.policy in self._policies:
            pass
        elif broken is not None:
            message = f"the policy {stage.policy!r} can't be used: {broken.message}"
            self._file.note(where, message, f"mend {broken.file}:{broken.line}:{broken.column}")
        else:
            self._file.note(where, f"there is no policy {stage.policy!r}", suggest(stage.policy, self._policies))
        return stage.policy, self._policies.get(stage.policy)

    def _validate(self, model: type[BaseModel], raw: object, where: Loc) -> BaseModel | None:
        try:
            options = of_yaml(model, raw)
            options.model_dump_json()  # digests are made of it: options that JSON can't hold are no use
        except ValidationError as error:
            self._file.problems += of_validation(self._file, error, where, model)
        except ConfigError as error:  # in a file that the options name
            self._file.problems += error.problems
        except PenstockError as error:
            self._file.note(where, error.message, error.next_step)
        except Exception as error:  # noqa: BLE001 a plugin's validator may raise anything; its file alone is to suffer
            self._file.note(where, f"the options can't be checked: {type(error).__name__}: {error}", "mend the plugin")
        else:
            return options
        return None
