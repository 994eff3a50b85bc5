"""A real SMTP server (aiosmtpd) that fails on request.

usage: smtp_faults.py PORT PLAIN_PORT CERTIFICATE KEY

PORT wants STARTTLS and the login out / out-pw. PLAIN_PORT has neither. The recipient's local part says what happens:
  code451@…        answers RCPT with that code             data552@…   answers DATA's end with that code
  slow@…           answers RCPT after 60 s                 drop@…      closes the connection at RCPT
  drop-data@…      closes it after the whole message was received, before any answer
  anyone else      is accepted
"""
import asyncio
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Faults:
    async def handle_RCPT(self, server, session, envelope, address, options):
        user = address.split("@")[0]
        if user.startswith("code"):
            return f"{user[4:7]} injected"
        if user == "slow":
            await asyncio.sleep(60)
        if user == "drop":
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        user = envelope.rcpt_tos[0].split("@")[0]
        if user.startswith("data"):
            return f"{user[4:7]} injected"
        if user == "drop-data":
            server.transport.abort()
        return "250 queued"


def login(server, session, envelope, mechanism, data):
    ok = (data.login, data.password) == (b"out", b"out-pw")
    return AuthResult(success=ok, handled=ok)


port, plain_port, certificate, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
Controller(
    Faults(), hostname="127.0.0.1", port=port, tls_context=context,
    require_starttls=True, auth_required=True, authenticator=login,
).start()
Controller(Faults(), hostname="127.0.0.1", port=plain_port).start()
threading.Event().wait()
