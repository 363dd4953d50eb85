"""Messages from a kernel are not held back on their way to the browser."""

import inspect

from jupyter_server.services.kernels import websocket
from jupyter_server.services.kernels.connection.channels import (
    ZMQChannelsWebsocketConnection,
)

from helpers.classroom.setup.prompt_answers import answer_at_once

NAME = "kernel_websocket_connection_class"


class Connection:
    connected = False

    def connect(self):
        assert self.websocket_handler.nodelay is True
        self.connected = True
        return "a future"


class Handler:
    nodelay = False

    def set_nodelay(self, value):
        self.nodelay = value


def test_each_connection_is_told_to_hold_nothing_back():
    settings = {NAME: Connection, "other": 1}
    answer_at_once(settings)
    connection = settings[NAME]()
    connection.websocket_handler = Handler()
    assert connection.connect() == "a future" and connection.connected
    assert isinstance(connection, Connection) and settings["other"] == 1


def test_a_server_without_the_setting_stays_as_it_is():
    settings = {"other": 1}
    answer_at_once(settings)
    assert settings == {"other": 1}


def test_jupyters_server_reads_the_setting_for_each_connection():
    """And its class has what is used here: else nothing would be faster, in silence."""
    read = inspect.getsource(
        websocket.KernelWebsocketHandler.kernel_websocket_connection_class.fget
    )
    assert f'settings.get("{NAME}")' in read
    assert callable(ZMQChannelsWebsocketConnection.connect)
    assert "websocket_handler" in ZMQChannelsWebsocketConnection.class_trait_names()
    assert callable(websocket.KernelWebsocketHandler.set_nodelay)
