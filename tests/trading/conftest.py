"""The database of the tests, without what other tests have stored in it."""

import pytest
import sqlalchemy as sa


@pytest.fixture
def database_url(postgres_url: str) -> str:
    with sa.create_engine(postgres_url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS signals"))
    return postgres_url
