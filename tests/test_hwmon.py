"""hwmon on trees with the kernel's own names and links: boards, GPUs, node meters, and chips nobody knows."""

import errno
import os

import pytest

from energybench.model import Domain, Energy, Probe, Unavailable
from energybench.probes import hwmon
from energybench.probes._hwmon_chips import Channel, Chip
from energybench.probes.hwmon import Sensor
from energybench.totals import total

GPU = "devices/pci0000:00/0000:03:00.0"
ORIN_NX = {"VDD_IN": (5000, 2000), "VDD_CPU_GPU_CV": (5000, 800), "VDD_SOC": (5000, 400)}
AGX_ORIN = {"VDD_GPU_SOC": (19112, 880), "VDD_CPU_CV": (19112, 400), "VIN_SYS_5V0": (5000, 1200)}


@pytest.fixture
def opened(sysfs, fake_clock):
    """Open the probe on the machine; close it at the end."""
    fake_clock.look_ns = 20_000  # the search for ticks ends after fewer looks
    probes = []

    def open_it():
        probe = hwmon.open_probe(root=sysfs.root, clock=fake_clock)
        if not isinstance(probe, Unavailable):
            probes.append(probe)
        return probe

    yield open_it
    for probe in probes:
        probe.close()


def values(probe):
    """Watts or joules of every readable domain."""
    readable = [d for d in probe.domains.values() if isinstance(d, Domain)]
    return {
        d.name: pytest.approx(raw * d.scale) if isinstance(raw, int) else raw
        for d, (_, raw) in zip(readable, probe.read(), strict=True)
    }


def summed(probe):
    """What a total would cover, if every domain had used its reading in joules."""
    energies = {
        name: Energy(joules=1.0, standard_uncertainty=0.0, provenance="measured", probe="hwmon", components={})
        for name, domain in probe.domains.items()
        if isinstance(domain, Domain)
    }
    whole = total(probe.domains, energies)
    return set(whole.domains) if whole else set()


def test_a_machine_without_a_sensor_of_power_has_no_hwmon(sysfs, opened):
    sysfs.hwmon("coretemp", {"temp1_input": 45000, "temp1_label": "Package id 0"})
    assert isinstance(opened(), Unavailable)


def test_jetson_rails_are_voltage_times_current(sysfs, opened):
    sysfs.jetson(AGX_ORIN)
    probe = opened()
    assert isinstance(probe, Probe)
    assert values(probe) == {"rail.VDD_GPU_SOC": 16.81856, "rail.VDD_CPU_CV": 7.6448, "rail.VIN_SYS_5V0": 6.0}
    domain = probe.domains["rail.VDD_CPU_CV"]
    assert (domain.kind, domain.tick, domain.modulus) == ("gauge", 0.007, None)


def test_a_metered_supply_holds_the_rails_and_they_are_not_added_to_it(sysfs, opened):
    sysfs.jetson(ORIN_NX)
    probe = opened()
    assert summed(probe) == {"rail.VDD_IN"}
    assert probe.domains["rail.VDD_IN"].contains == ("rail.VDD_CPU_GPU_CV", "rail.VDD_SOC")
    assert not probe.domains["rail.VDD_SOC"].additive


def test_without_a_metered_supply_the_rails_of_both_chips_add_up_and_say_so(sysfs, opened):
    sysfs.jetson(AGX_ORIN)
    sysfs.jetson({"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5000, 100)}, address="1-0041")
    probe = opened()
    assert summed(probe) == {f"rail.{label}" for label in (*AGX_ORIN, "VDDQ_VDD2_1V8AO")}
    assert "sum-of-rails" in probe.domains["rail.VDD_CPU_CV"].flags


def test_a_board_that_is_no_jetson_has_rails_that_are_not_added(sysfs, opened):
    sysfs.jetson({"5V_USB": (5000, 100)})
    probe = opened()
    assert values(probe) == {"rail.5V_USB": 0.5}
    assert summed(probe) == set()


def test_l4t_32_shows_its_rails_as_an_iio_device_in_milliwatts(sysfs, opened):
    sysfs.jetson_l4t_32({"POM_5V_IN": 4200, "POM_5V_GPU": 1000})
    probe = opened()
    assert values(probe) == {"rail.POM_5V_IN": 4.2, "rail.POM_5V_GPU": 1.0}
    assert summed(probe) == {"rail.POM_5V_IN"}


def test_a_grace_hopper_module_meter_holds_its_parts_and_its_gpu(sysfs, opened):
    labels = {"Module": 512_000_000, "Grace": 150_000_000, "CPU": 90_500_000, "SysIO": 20_000_000}
    for number, (label, microwatts) in enumerate(labels.items()):
        sysfs.acpi_meter(microwatts, label=f"{label} Power Socket 0", number=number)
    probe = opened()
    assert values(probe) == {"module-0": 512, "cpu.socket-0": 150, "cpu.package-0": 90.5, "cpu.sysio-0": 20}
    assert summed(probe) == {"module-0"}
    assert "gpu.0" in probe.domains["module-0"].contains
    assert probe.domains["cpu.socket-0"].averaging == 0.05


def test_grace_without_a_module_meter_counts_each_socket_once(sysfs, opened):
    for socket in (0, 1):
        for part, label in enumerate(("Grace", "CPU", "SysIO")):
            sysfs.acpi_meter(10**8, label=f"{label} Power Socket {socket}", number=4 * socket + part)
    assert summed(opened()) == {"cpu.socket-0", "cpu.socket-1"}


def test_the_gpus_of_a_grace_socket_are_those_on_its_numa_node(sysfs, opened):
    for number, node in enumerate((0, 0, 1)):
        device = sysfs.root / f"sys/bus/pci/devices/000{number}:01:00.0"
        for key, value in {"vendor": "0x10de", "class": "0x030200", "numa_node": node}.items():
            sysfs.write(device / key, value)
    sysfs.acpi_meter(10**9, label="Module Power Socket 0")
    contains = opened().domains["module-0"].contains
    assert [name for name in contains if name.startswith("gpu")] == ["gpu.0", "gpu.1"]


def test_a_meter_without_a_label_is_the_whole_node_and_is_counted_alone(sysfs, opened):
    sysfs.acpi_meter(400_000_000, interval_ms=1000)
    sysfs.acpi_meter(390_000_000, interval_ms=1000, number=1)
    sysfs.hwmon("amdgpu", {"power1_average": 300_000_000}, device=GPU)
    probe = opened()
    assert summed(probe) == {"node"}
    domain = probe.domains["node"]
    assert (domain.scope, domain.averaging, domain.tick) == ("node", 1.0, 1.0)
    assert not probe.domains["hwmon.power_meter.ACPI000D:01"].additive


@pytest.mark.parametrize("on_device", [False, True])
def test_attributes_are_found_beside_the_name_or_in_the_device(sysfs, opened, on_device):
    sysfs.hwmon("amdgpu", {"power1_average": 75_000_000, "power1_label": "PPT"}, device=GPU, on_device=on_device)
    assert values(opened()) == {"gpu.0000:03:00.0": 75}


def test_names_do_not_depend_on_hwmon_numbers(sysfs, opened):
    sysfs.hwmon("amdgpu", {"power1_average": 1_000_000}, device="devices/0000:83:00.0", number=2)
    sysfs.hwmon("amdgpu", {"power1_average": 2_000_000}, device="devices/0000:03:00.0", number=9)
    assert values(opened()) == {"gpu.0000:03:00.0": 2, "gpu.0000:83:00.0": 1}


def test_an_apus_power_is_the_packages_once_more(sysfs, opened):
    sysfs.hwmon("amdgpu", {"power1_input": 15_000_000, "in1_label": "vddnb", "in1_input": 700}, device=GPU)
    probe = opened()
    domain = probe.domains["gpu.0000:03:00.0"]
    assert (domain.duplicates, domain.additive) == ("cpu.package-0", False)
    assert "includes-cpu" in domain.flags
    assert summed(probe) == set()


def test_an_average_is_preferred_to_an_instant_and_energy_to_power(sysfs, opened):
    power = {"power1_average": 5_000_000, "power1_input": 9_000_000, "power1_average_interval": 250}
    sysfs.hwmon("board", power | {"in1_input": 12000, "curr1_input": 1000})
    probe = opened()
    assert values(probe) == {"hwmon.board.power1": 5}
    assert probe.domains["hwmon.board.power1"].averaging == 0.25


def test_an_intel_card_is_an_energy_counter_without_a_known_wrap(sysfs, opened):
    files = {"energy1_input": 7_000_000, "energy1_label": "card", "energy2_input": 5_000_000, "energy2_label": "pkg"}
    home = sysfs.hwmon("xe", files, device=GPU)
    sysfs.hwmon("i915_gt0", {"energy1_input": 1}, device="devices/0000:04:00.0")
    probe = opened()
    assert values(probe) == {"gpu.0000:03:00.0": 7, "gpu.0000:03:00.0.package": 5}
    assert summed(probe) == {"gpu.0000:03:00.0"}
    domain = probe.domains["gpu.0000:03:00.0"]
    assert (domain.kind, domain.modulus) == ("counter", None)
    sysfs.write(home / "energy1_input", 8_000_000)
    assert values(probe)["gpu.0000:03:00.0"] == 8


def test_an_intel_card_that_meters_its_package_alone_is_counted_by_it(sysfs, opened):
    sysfs.hwmon("xe", {"energy2_input": 5_000_000, "energy2_label": "pkg"}, device=GPU)
    assert summed(opened()) == {"gpu.0000:03:00.0.package"}


@pytest.mark.parametrize("driver", ["zenergy", "amd_energy"])
def test_sockets_of_amd_energy_repeat_the_packages_and_cores_are_left_out(sysfs, opened, driver):
    files = {"energy1_label": "Ecore000", "energy1_input": 1, "energy2_label": "Esocket1", "energy2_input": 3_000_000}
    sysfs.hwmon(driver, files)
    probe = opened()
    assert values(probe) == {"cpu.socket-1": 3}
    domain = probe.domains["cpu.socket-1"]
    assert (domain.duplicates, domain.additive, domain.modulus) == ("cpu.package-1", True, None)


def test_hsmp_shows_a_sockets_power_beside_its_energy(sysfs, opened):
    for number, microwatts in enumerate((100_000_000, 120_000_000)):
        sysfs.hwmon(
            "amd_hsmp_hwmon", {"power1_input": microwatts}, device=f"devices/AMDI0097:0{number}", number=9 - number
        )
    probe = opened()
    assert values(probe) == {"cpu.package-0.power": 100, "cpu.package-1.power": 120}
    assert summed(probe) == set()


def test_unknown_chips_are_shown_under_their_device_and_never_added(sysfs, opened):
    for number in (0, 1):
        sysfs.hwmon("pmbus", {"power1_input": 1_000_000 + number, "power1_label": "pin"}, device=f"devices/psu{number}")
    probe = opened()
    assert set(values(probe)) == {"hwmon.pmbus.pin@psu0", "hwmon.pmbus.pin@psu1"}
    assert summed(probe) == set()


def test_a_sensor_that_breaks_takes_no_other_down_and_comes_back_under_another_number(sysfs, opened):
    sysfs.hwmon("amdgpu", {"power1_average": 1_000_000}, device="devices/0000:03:00.0", number=1)
    home = sysfs.hwmon("amdgpu", {"power1_average": 2_000_000}, device="devices/0000:83:00.0", number=2)
    probe = opened()
    sysfs.write(home / "power1_average", "", newline=False)
    for path in sorted(home.iterdir()):
        path.unlink()
    home.rmdir()
    (sysfs.root / "sys/class/hwmon/hwmon2").unlink()
    assert isinstance(values(probe)["gpu.0000:83:00.0"], Unavailable)
    lost = values(probe)
    assert lost["gpu.0000:03:00.0"] == 1
    assert "vanished" in lost["gpu.0000:83:00.0"].reason
    sysfs.hwmon("amdgpu", {"power1_average": 3_000_000}, device="devices/0000:83:00.0", number=7)
    assert values(probe)["gpu.0000:83:00.0"] == 3


def test_a_file_that_may_not_be_read_names_the_command_that_helps(sysfs, fake_clock):
    home = sysfs.hwmon("zenergy", {"energy1_label": "Esocket0", "energy1_input": 5})
    (home / "energy1_input").chmod(0)
    with sysfs.unprivileged():
        problem = hwmon.open_probe(root=sysfs.root, clock=fake_clock).domains["cpu.socket-0"]
    assert isinstance(problem, Unavailable)
    assert problem.remedy.startswith("sudo chmod a+r ")
    assert problem.remedy.endswith("energy1_input")


def test_a_sensor_that_is_switched_off_says_how_to_switch_it_on(tmp_path):
    chip = Chip(name="ina3221", device="1-0040", homes=(tmp_path,))
    sensor = Sensor(Channel(chip=chip, key="in1", label="", paths=(tmp_path / "in1_input",)), tmp_path)
    problem = sensor.explain(OSError(errno.ENODATA, os.strerror(errno.ENODATA)))
    assert problem.remedy == f"echo 1 | sudo tee {tmp_path / 'in1_enable'}"


def test_a_word_or_a_real_eio_in_place_of_a_number_is_unavailable(sysfs, opened):
    home = sysfs.hwmon("board", {"power1_input": 1_000_000, "power2_input": 2_000_000, "power3_input": 0})
    (home / "power3_input").unlink()
    (home / "power3_input").symlink_to("/proc/self/mem")  # its first page is not mapped: EIO
    probe = opened()
    sysfs.write(home / "power2_input", "N/A")
    broken = probe.domains["hwmon.board.power3"]
    assert isinstance(broken, Unavailable)
    assert os.strerror(errno.EIO) in broken.reason
    now = values(probe)
    assert now["hwmon.board.power1"] == 1
    assert "not a number" in now["hwmon.board.power2"].reason


def test_a_closed_probe_holds_no_file(sysfs, opened):
    sysfs.jetson(ORIN_NX)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a Path would open a descriptor for each
    probe = opened()
    probe.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
