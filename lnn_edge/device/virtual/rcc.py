"""Clock tree, power and flash interface of the STM32F74x/75x: what start-up code waits for.

Registers: RM0385 chapters 5 (RCC), 4 (PWR), 3 (FLASH). Frequencies follow what was programmed.
"""

from __future__ import annotations

from collections.abc import Callable

from lnn_edge.device.virtual.bus import AbstractPeripheral

HSI_HZ, LSI_HZ = 16_000_000, 32_000

_CR, _PLLCFGR, _CFGR, _BDCR, _CSR, _DCKCFGR2 = 0x00, 0x04, 0x08, 0x70, 0x74, 0x90
_AHB1ENR, _APB1ENR, _APB2ENR = 0x30, 0x40, 0x44
_HSION, _HSEON, _PLLON, _PLLI2SON, _PLLSAION = (
    1 << 0,
    1 << 16,
    1 << 24,
    1 << 26,
    1 << 28,
)
_RMVF = 1 << 24
RESET_PIN, RESET_POWER, RESET_SOFTWARE, RESET_WATCHDOG = (
    1 << 26,
    1 << 27,
    1 << 28,
    1 << 29,
)
_AHB_SHIFT = (1, 2, 3, 4, 6, 7, 8, 9)  # HPRE 8..15 divide by 2^n; there is no 32


class Rcc(AbstractPeripheral):
    """Reset and clock control.

    Args:
        hse_hz: Frequency of the external oscillator, Hz; 0 for none.
        changed: Called with (old, new) core clock in Hz when it changes.
    """

    def __init__(self, hse_hz: int, changed: Callable[[int, int], None]) -> None:
        super().__init__("RCC", 0x40023800, 0x400)
        self._hse_hz, self._changed = hse_hz, changed
        self.cause = RESET_PIN | RESET_POWER
        self.hclk_hz = HSI_HZ
        self.reset()

    def reset(self) -> None:
        """On the internal oscillator; `cause` is what CSR will show."""
        self.stored = {
            _CR: 0x00000083,
            _PLLCFGR: 0x24003010,
            0x30: 0x00100000,
            _CSR: self.cause,
        }
        self._update()

    def read(self, offset: int) -> int:
        """Ready bits follow enable bits; SWS follows SW."""
        value = self.stored.get(offset, 0)
        if offset == _CR:
            on = value & (_HSION | _PLLON | _PLLI2SON | _PLLSAION)
            on |= value & _HSEON if self._hse_hz else 0
            return value | on << 1
        if offset == _CFGR:
            return value & ~0xC | self._source() << 2
        if offset in (_BDCR, _CSR):
            return value | (value & 1) << 1
        return value

    def write(self, offset: int, value: int) -> None:
        """Ready bits are read-only; the PLL cannot be changed while it runs."""
        if offset == _PLLCFGR and self.stored[_CR] & _PLLON:
            return
        if offset == _CSR:
            kept = 0 if value & _RMVF else self.stored[_CSR] & ~0x01FFFFFF
            value = kept | value & 1
        self.stored[offset] = value & ~0x2A020002 if offset == _CR else value
        if offset in (_CR, _CFGR, _PLLCFGR):
            self._update()

    def is_on(self, bus: str, bit: int) -> bool:
        """Clock enable of a peripheral on "ahb1", "apb1" or "apb2"."""
        register = {"ahb1": _AHB1ENR, "apb1": _APB1ENR, "apb2": _APB2ENR}[bus]
        return self.stored.get(register, 0) >> bit & 1 == 1

    def pclk_hz(self, bus: str) -> int:
        """Clock of "apb1" or "apb2", Hz."""
        field = self.stored.get(_CFGR, 0) >> (10 if bus == "apb1" else 13) & 7
        return self.hclk_hz >> (field - 3 if field >= 4 else 0)

    def usart_hz(self, bus: str, select_bit: int) -> int:
        """Kernel clock of a USART, Hz: its bus clock, SYSCLK or HSI (LSE is not modelled: 0)."""
        choice = self.stored.get(_DCKCFGR2, 0) >> select_bit & 3
        return (self.pclk_hz(bus), self._sysclk_hz(), HSI_HZ, 0)[choice]

    def _source(self) -> int:
        """SWS: the wanted source if it runs, else the one before it, HSI at last."""
        wanted = self.stored.get(_CFGR, 0) & 3
        ready = self.read(_CR)
        if (wanted == 1 and ready & 1 << 17) or (wanted == 2 and self._pll_hz()):
            return wanted
        return 0

    def _pll_hz(self) -> int:
        """f = input / M * N / P, zero while it does not run."""
        config = self.stored[_PLLCFGR]
        source = self._hse_hz if config & 1 << 22 else HSI_HZ
        if config & 1 << 22 and not self.stored[_CR] & _HSEON:
            source = 0
        m, n, p = config & 63, config >> 6 & 511, (config >> 16 & 3) * 2 + 2
        return source * n // m // p if m and self.stored[_CR] & _PLLON else 0

    def _sysclk_hz(self) -> int:
        return (HSI_HZ, self._hse_hz, self._pll_hz())[self._source()]

    def _update(self) -> None:
        field = self.stored.get(_CFGR, 0) >> 4 & 15
        shift = _AHB_SHIFT[field - 8] if field >= 8 else 0
        old, self.hclk_hz = self.hclk_hz, max(1, self._sysclk_hz() >> shift)
        if old != self.hclk_hz:
            self._changed(old, self.hclk_hz)


class Pwr(AbstractPeripheral):
    """Power control: over-drive and regulator ready bits."""

    def __init__(self) -> None:
        super().__init__("PWR", 0x40007000, 0x400)
        self.reset()

    def reset(self) -> None:
        """Regulator scale 1, over-drive off."""
        self.stored = {0x0: 0xC000}

    def read(self, offset: int) -> int:
        """CSR1: VOSRDY always, ODRDY and ODSWRDY as enabled."""
        if offset == 0x4:
            return self.stored.get(4, 0) & ~0x34000 | self.stored[0] & 0x30000 | 0x4000
        return self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Store."""
        self.stored[offset] = value


class FlashInterface(AbstractPeripheral):
    """Wait states are kept and not modelled; programming is not possible (CR stays locked)."""

    def __init__(self) -> None:
        super().__init__("FLASH", 0x40023C00, 0x400)
        self.reset()

    def reset(self) -> None:
        """Locked."""
        self.stored = {0x10: 0x80000000, 0x14: 0xC0FFAAFD}

    def read(self, offset: int) -> int:
        """ACR as written; never busy."""
        return self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Only ACR can be changed."""
        if offset == 0:
            self.stored[offset] = value
