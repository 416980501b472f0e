"""The reckoning of callers without a key: one account for each address. Pure; bounded in memory.

Of more addresses than `ADDRESSES` the one that asked longest ago is forgotten, and begins anew when
it comes back. So this keeps an honest program from using up what others need; who commands
thousands of addresses is kept out by `gateway.require_key`.
"""

from server.gateway.limits.limiter import Account
from server.gateway.limits.model import Limits

ADDRESSES = 4096


class Strangers:
    """Costs nothing while there are no limits."""

    def __init__(self, addresses: int = ADDRESSES) -> None:
        self._addresses = addresses
        self._accounts: dict[str, Account] = {}

    def account(self, address: str, limits: Limits) -> Account | None:
        """None without limits. Limits that changed hold at once; what was used stays used."""
        if not limits:
            self._accounts.clear()
            return None
        account = self._accounts.pop(address, None)
        if account is None:
            account = Account(limits)
            if len(self._accounts) >= self._addresses:
                del self._accounts[next(iter(self._accounts))]
        elif account.limits != limits:
            account.change(limits)
        self._accounts[address] = account  # the newest last: the oldest is forgotten first
        return account
