"""What the component exports: the classes are named after the interfaces of the contract, their methods after its functions."""

from wit_world import exports
from wit_world.imports.settings import Config

from source import Session


class Lifecycle(exports.Lifecycle):
    def validate(self, config: Config):
        return []


class Source(exports.Source):
    def open(self, config: Config):
        return Session(config)
