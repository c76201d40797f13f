"""Takes mail for the tests: after STARTTLS and a login alone, each letter into a file. What it is told to refuse it refuses.

mail.py PORT CERTIFICATE KEY FOLDER USER PASSWORD
"""

import asyncio
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, certificate, key, folder, user, password = sys.argv[1:]


class Box:
    """Keeps letters as they come."""

    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 there is no such box"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = pathlib.Path(folder) / f"{Box.count}.eml"
        Box.count += 1
        new = name.with_suffix(".new")
        new.write_bytes(f"To-Box: {', '.join(envelope.rcpt_tos)}\r\n".encode() + envelope.content)
        new.rename(name)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    """Lets in one user."""
    known = LoginPassword(user.encode(), password.encode())
    return AuthResult(success=data == known, handled=False)


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def session():
        return SMTP(
            Box(),
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port))
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())
