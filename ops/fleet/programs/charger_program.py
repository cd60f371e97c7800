"""Firmware of a virtual charger: boots, tests itself, charges cars, meters, obeys a few commands.

This file, as it stands here, is the factory image 1.0.0; `ops.fleet.programs` makes the later ones from it. It runs by
itself, lying in a slot, started by the boot ROM as `python -I -S SLOT key=value ...`, and imports nothing that costs
memory: two hundred of them run at once. It knows nothing of updates, slots, signatures or the network.

It talks in whole messages over the descriptor `control` (a SEQPACKET socket): commands in as words, each with a number
that its `status` answer repeats; events out as JSON. Sessions are written to the charger's log (`log`) as they begin
and end. When the line `power` is closed there is no power any more. `hardware` is the revision of the board, `seed`
decides which cars come and when, `permille` how long its seconds are (1000: as long as ours), `trial` whether it runs
on trial, `config` what configuration to begin with (length, SHA-256, file).

Rules:
1. No session begins before the self-test passed, nor on trial before a `release`, nor while a `hold` lasts.
2. A hold is given when no session runs, and ends after a minute: nobody can stop charging by forgetting it.
3. Charging needs nobody: without its agent the program goes on with the configuration that it has.
4. A configuration is taken whole or not at all.
"""

import os
import sys
import time
from select import POLLIN, poll

VERSION = "1.0.0"
BOOT_MS = 1000
SESSION_MS = (1000, 3000)
PAUSE_MS = (300, 1500)
FIRST_CAR_MS = (50, 250)
REFUSAL_MS = (50, 150)
LEAK_LIMIT_MA = 30
LEAK_SENSOR_GAIN = {"rev-a": 1, "rev-b": 2}
CAR_DUTY_PERMILLE = (100, 850)
BROKEN_CARS_PERMILLE = 2
VOLTS = 3 * 230
HOLD_MS = 60_000
NEVER_MS = 2**62
BUILT_IN_CAP_W = 22_000
MAX_MESSAGE_BYTES = 4096
MAX_CONFIG_BYTES = 256 * 1024


class Chance:
    """Seeded draws; the module `random` would cost more memory, times two hundred."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def between(self, bounds: tuple[int, int]) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        low, high = bounds
        return low + (self._state >> 33) % (high - low + 1)


def self_test(hardware: str) -> bool:
    """Contactor, residual current sensor and meter answer as they should."""
    return leak_ma(hardware) < LEAK_LIMIT_MA


def leak_ma(hardware: str) -> int:
    """Residual current, as the sensor of this revision measures it."""
    return raw_leak() // LEAK_SENSOR_GAIN[hardware]


def raw_leak() -> int:
    """What the sensor says."""
    return 2


def pilot_duty_permille(current_a: int) -> int:
    """Duty cycle that offers `current_a` to a car, 6 to 51 A. Source: IEC 61851-1, I = duty in percent * 0.6 A."""
    return current_a * 50 // 3


def car_accepts(duty_permille: int, chance: Chance) -> bool:
    """The car's side of the cable: it charges at 10 to 85 percent duty; a few cars are broken themselves."""
    low, high = CAR_DUTY_PERMILLE
    return low <= duty_permille <= high and chance.between((1, 1000)) > BROKEN_CARS_PERMILLE


def json_of(said: dict[str, object]) -> str:
    """Words and numbers as JSON, without the module `json`."""
    parts = []
    for name, value in said.items():
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        parts.append(f'"{name}":{shown}')
    return ",".join(parts)


class Charger:
    """One charging point and the cars that come to it."""

    def __init__(
        self, *, control: int, power: int, log: int, hardware: str, seed: int, permille: int, trial: bool
    ) -> None:
        self.control = control
        self.power = power
        self.log = log
        self.hardware = hardware
        self.chance = Chance(seed)
        self.permille = permille
        self.held_until_ms = NEVER_MS if trial else 0
        self.session = 0
        self.charging = False
        self.failing = False
        self.faulted = False
        self.current_a = 0
        self.began_ms = 0
        self.meter_mwh = 0
        self.power_cap_w = BUILT_IN_CAP_W
        self.config = ""
        self.due_ms = NEVER_MS

    def run(self, config: str) -> None:
        self.start_up(config)
        self.due_ms = self.now_ms() + self.span(FIRST_CAR_MS)
        watch = poll()
        watch.register(self.control, POLLIN)
        watch.register(self.power, 0)
        while True:
            spoken = dict(watch.poll(self.wait_ms()))
            if self.power in spoken:
                sys.exit("no power")
            if self.control in spoken:
                if not self.obey():
                    watch.unregister(self.control)
            elif self.charging:
                self.end_session()
            elif self.wait_ms() == 0:
                self.begin_session()

    def wait_ms(self) -> int | None:
        """Until the next car comes or goes; None when only a command can change anything."""
        if self.charging:
            return max(0, self.due_ms - self.now_ms())
        if self.faulted or self.held_until_ms == NEVER_MS:
            return None
        return max(0, self.due_ms - self.now_ms(), self.held_until_ms - self.now_ms())

    def start_up(self, config: str) -> None:
        time.sleep(BOOT_MS * self.permille / 1_000_000)  # noqa: TID251 -- booting is waiting, and nobody waits for this
        if not self_test(self.hardware):
            sys.exit("self-test failed")
        if config:
            self.apply_config(config)
        self.say({"event": "ready", "version": VERSION})

    def now_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def span(self, bounds: tuple[int, int]) -> int:
        return self.chance.between(bounds) * self.permille // 1000

    def begin_session(self) -> None:
        self.session += 1
        self.charging = True
        self.began_ms = self.now_ms()
        wanted_a = self.chance.between((6, 32))
        self.current_a = max(6, min(wanted_a, self.power_cap_w // VOLTS))
        self.failing = not car_accepts(pilot_duty_permille(self.current_a), self.chance)
        self.due_ms = self.began_ms + self.span(REFUSAL_MS if self.failing else SESSION_MS)
        self.tell({"event": "session_started", "session": self.session})

    def end_session(self) -> None:
        ended_ms = self.now_ms()
        energy_mwh = 0 if self.failing else self.current_a * VOLTS * (ended_ms - self.began_ms) // 3600
        self.meter_mwh += energy_mwh
        self.charging = False
        self.due_ms = ended_ms + self.span(PAUSE_MS)
        reason = "ev_refused" if self.failing else "ev_disconnected"
        ended = {"event": "session_ended", "session": self.session, "ok": not self.failing}
        self.tell({**ended, "energy_mwh": energy_mwh, "reason": reason})
        if leak_ma(self.hardware) >= LEAK_LIMIT_MA:
            self.faulted = True
            self.tell({"event": "fault", "code": "ground_fault"})

    def obey(self) -> bool:
        """One command: `<number> status|hold|release|builtin_config|apply_config ...`; False: the agent is gone."""
        try:
            number, _, rest = os.read(self.control, MAX_MESSAGE_BYTES).decode().partition(" ")
        except OSError:
            return False
        if not number:
            return False
        word, _, given = rest.partition(" ")
        if word == "hold" and not self.charging:
            self.held_until_ms = max(self.held_until_ms, self.now_ms() + HOLD_MS)
        elif word == "release":
            self.held_until_ms = 0
        elif word == "builtin_config":
            self.power_cap_w, self.config = BUILT_IN_CAP_W, ""
        elif word == "apply_config":
            self.apply_config(given)
        self.say_status(int(number))
        return True

    def say_status(self, number: int) -> None:
        state = {"charging": self.charging, "held": self.held_until_ms > self.now_ms()}
        health = {"self_test": not self.faulted and self_test(self.hardware), "meter": self.meter_mwh >= 0}
        self.say({"event": "status", "answers": number, "version": VERSION, **state, **health, "config": self.config})

    def apply_config(self, given: str) -> None:
        length, _, rest = given.partition(" ")
        sha256, _, path = rest.partition(" ")
        try:
            self.power_cap_w = read_power_cap(int(length), sha256, path)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self.tell({"event": "config_refused", "config": sha256})
            return
        self.config = sha256
        self.tell({"event": "config_applied", "config": sha256})

    def tell(self, said: dict[str, object]) -> None:
        """To the log and to the agent."""
        at_ms = time.time_ns() // 1_000_000  # noqa: TID251 -- the log carries wall time
        os.write(self.log, f'{{"at_ms":{at_ms},{json_of(said)}}}\n'.encode())
        self.say(said)

    def say(self, said: dict[str, object]) -> None:
        try:
            os.write(self.control, f'{{"mono_ms":{self.now_ms()},{json_of(said)}}}'.encode())
        except OSError:
            return  # the agent is gone or does not listen; the log has what counts


def read_power_cap(length: int, sha256: str, path: str) -> int:
    """The whole configuration, checked before any of it is used."""
    from hashlib import sha256 as digest_of  # noqa: PLC0415 -- four megabytes that only a configuration needs
    from json import loads  # noqa: PLC0415 -- one more

    with open(path, "rb") as file:  # noqa: PTH123 -- pathlib would cost two hundred programs 3 MiB each
        data = file.read(min(length, MAX_CONFIG_BYTES))
    if digest_of(data).hexdigest() != sha256:
        raise ValueError("the file is not the one that was named")
    power_cap_w = loads(data)["power_cap_w"]
    if type(power_cap_w) is not int or power_cap_w <= 0:
        raise ValueError("power_cap_w is no power")
    return power_cap_w


def main() -> None:
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    os.set_blocking(int(given["control"]), False)
    charger = Charger(
        control=int(given["control"]),
        power=int(given["power"]),
        log=int(given["log"]),
        hardware=given["hardware"],
        seed=int(given["seed"]),
        permille=int(given["permille"]),
        trial=given["trial"] == "1",
    )
    charger.run(given["config"])


if __name__ == "__main__":
    main()
