"""Locations are found in texts of phones, drones and players; dates, times and numbers are not locations."""

import pytest

from stream.picture.location import has_location, names_location


@pytest.mark.parametrize(
    "text",
    [
        "+48.2082+016.3738/",
        "+48.2082+016.3738+151.000/",
        "+48-016/",
        "-33.86+151.21CRSWGS_84/",
        "filmed at 48.20820, 16.37380",
        "GPS(16.3738,48.2082,19)",
        "[latitude: 48.2082] [longtitude: 16.3738]",
        "48° 12' 30\" N",
        "48.2082 N, 16.3738 E",
    ],
)
def test_locations(text: str) -> None:
    assert has_location(text)


@pytest.mark.parametrize(
    "text",
    [
        "2020-05-06T07:08:09.000000Z",
        "2020-05-06T09:08:09+0200",
        "20:05:06",
        "Holiday 2020",
        "4.5 stars, 16.5 mm",
        "01:00:00:00",
        "Location scouting, take 2",
        "version 1.2.3-456",
        "",
    ],
)
def test_other_texts(text: str) -> None:
    assert not has_location(text)


@pytest.mark.parametrize("name", ["location", "LOCATION-eng", "com.apple.quicktime.location.ISO6709", "©xyz", "gps"])
def test_names_of_locations(name: str) -> None:
    assert names_location(name)


@pytest.mark.parametrize("name", ["title", "creation_time", "make", "com.apple.quicktime.creationdate", "genre"])
def test_other_names(name: str) -> None:
    assert not names_location(name)
