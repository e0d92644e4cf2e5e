"""The record of an outside service that the class uses, as the stack file names it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from classroom.common import hosts
from classroom.common.networks import address_or_network
from classroom.sovereignty.facts import Record
from classroom.sovereignty.presets import expand, load

Use = Literal["dns", "registry", "ntp", "packages", "ca", "stun", "mail", "backups"]


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


class Endpoint(Record):
    """An outside service that the class uses: the use, its name, its operator and its addresses.

    A row `{use: dns, preset: NAME}` gets the other keys from the preset (`classroom presets` lists the presets).
    """

    use: Use = Field(
        description="Use; `registry` is the registry of the top-level domain, `ca` the certificate authority."
    )
    name: str = Field(description="Host name; it is not resolved for the judgement.")
    operator: str = Field(min_length=2, description="Its operator: a name in the catalogue, or a declared one.")
    addresses: Annotated[tuple[Annotated[str, AfterValidator(address_or_network)], ...], AfterValidator(_once)] = Field(
        default=(), description="Its addresses or networks; each is judged, too."
    )
    url: str | None = Field(
        default=None, description="Its URL, such as that of a package mirror; its host must be `name`."
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, row: Any) -> Any:
        return expand(row)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of a row: either all keys, or a preset that fits the use, with the keys that it does not set."""
        found = handler(core)
        schema = handler.resolve_ref_schema(found)
        presets = load().presets
        schema["properties"]["preset"] = {
            "title": "Preset",
            "description": "A service of `classroom presets`, which sets the other keys.",
            "type": "string",
            "enum": [preset.id for preset in presets],
        }
        full = {"required": schema.pop("required"), "properties": {"preset": False}}
        chosen = [
            {
                "required": ["use", "preset", *([] if preset.addresses else ["addresses"])],
                "properties": {
                    "use": {"const": preset.use},
                    "preset": {"const": preset.id},
                    **dict.fromkeys(preset.filled, False),
                    **({} if preset.addresses else {"addresses": {"minItems": 1}}),
                },
            }
            for preset in presets
        ]
        schema["oneOf"] = [full, *chosen]
        return found

    @field_validator("name")
    @classmethod
    def _host(cls, value: str) -> str:
        return address_or_network(value) if hosts.is_address(value) else hosts.host_name(value)

    @field_validator("url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return None if value is None else hosts.url(value)
