"""Which versions may go? Keeps the newest and those in use; of the others, the old ones may go."""

from wit_world import exports
from wit_world.exports.cleanup import Fate, Inventory, Recommendation
from wit_world.imports import settings
from wit_world.imports.types import Stage


class Cleanup(exports.Cleanup):
    def review(self, inventory: Inventory) -> list[Recommendation]:
        """One recommendation for every version; the newest come first."""
        keep = settings.count("keep")
        min_age = settings.duration("min-age")
        recommendations = []
        for number, version in enumerate(inventory.versions):
            if version.protections or version.stage == Stage.PRODUCTION:
                fate, reason = Fate.KEEP, "It is in use."
            elif number < keep:
                fate, reason = Fate.KEEP, "It is among the newest."
            elif version.age < min_age:
                fate, reason = Fate.KEEP, "It is young."
            else:
                fate, reason = Fate.DELETE, "It is old and not in use."
            recommendations.append(Recommendation(version.version, fate, reason))
        return recommendations
