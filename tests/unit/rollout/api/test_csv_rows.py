"""Sites and chargers as spreadsheets write them."""

from hypothesis import given
from hypothesis import strategies as st

from otacore.errors import Refused
from rollout.api.operator.csv_rows import chargers_of, sites_of
from rollout.domain.fleet import Site, Window
from rollout.domain.registration import ChargerRow


def test_sites_are_read_with_their_windows_and_labels() -> None:
    """A window that is lost on the way closes a site for ever, or opens it in the middle of the day."""
    text = "site_id,site_class,place_share_pct,labels,consent\ns1,depot,50,north|fast,120+60|3000+30\ns2,hub,,,\n"
    assert sites_of(text.encode()) == (
        Site("s1", "depot", 50, (Window(120, 60), Window(3000, 30)), ("north", "fast")),
        Site("s2", "hub"),
    )


def test_chargers_are_read_in_any_order_of_columns() -> None:
    """Columns are found by their names: a moved column must not put ratings into names."""
    text = "rating_w,hardware,product,site_id,device_id\r\n22000,rev-a,acme-dc50,s1,CP-1\r\n"
    assert chargers_of(text.encode()) == (ChargerRow("CP-1", "s1", "acme-dc50", "rev-a", 22_000),)


def test_a_spreadsheets_first_bytes_are_no_part_of_a_name() -> None:
    """Excel writes a byte order mark; with it the first column would be unknown."""
    assert sites_of(b"\xef\xbb\xbfsite_id,site_class\ns1,depot\n") == (Site("s1", "depot"),)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='sdx,"\n\r0|+', max_size=200).map(lambda text: ("site_id,site_class\n" + text).encode()),
    )
)
def test_any_bytes_are_sites_or_refused(data: bytes) -> None:
    """What ends in any other error is answered as a fault of ours, and found by whoever sends it on purpose."""
    try:
        made = sites_of(data)
    except Refused:
        return
    assert all(isinstance(site, Site) for site in made)
