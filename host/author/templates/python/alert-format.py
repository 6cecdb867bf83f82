"""How should an alert read? In a few plain lines: the reason, and what was done."""

from wit_world import exports
from wit_world.exports.alert_format import Alert, Message
from wit_world.imports import settings


class AlertFormat(exports.AlertFormat):
    def render(self, alert: Alert, channel: str) -> Message:
        """Asked for each channel that policy.toml names."""
        title = f"{settings.text('prefix')}: {alert.subject.model} {alert.subject.version}"
        body = "\n".join([alert.reason, *(f"- {action}" for action in alert.actions)])
        return Message(title=title, body=body, rich=None)
