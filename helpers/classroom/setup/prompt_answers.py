"""Small messages from a kernel go to the browser at once.

A kernel answers a slider with several of them. The first goes off; the others the system
holds back until the browser has confirmed the first (Nagle's algorithm), which it does up
to 40 ms later. Jupyter's server leaves that on.
"""


def answer_at_once(settings: dict) -> None:
    """Let a server's connections to browsers hold nothing back.

    Args:
        settings: of the server's web application.
    """
    name = "kernel_websocket_connection_class"
    if name in settings:  # a server that has no such setting stays as it is
        settings[name] = _prompt(settings[name])


def _prompt(connection: type) -> type:
    class PromptConnection(connection):
        def connect(self):
            self.websocket_handler.set_nodelay(True)
            return super().connect()

    return PromptConnection
