-- The tables of revision 0005, as the programs of that time made them in PostgreSQL.

CREATE TABLE inventory_schema (
  version INTEGER NOT NULL,
  PRIMARY KEY (version)
);

CREATE TABLE vehicles (
  vehicle TEXT COLLATE "C" NOT NULL,
  manifest_counter BIGINT NOT NULL,
  manifest BYTEA,
  manifest_received TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (vehicle)
);

CREATE TABLE alerts (
  vehicle TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  time TIMESTAMP WITH TIME ZONE NOT NULL,
  code TEXT COLLATE "C" NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (vehicle, number),
  FOREIGN KEY(vehicle) REFERENCES vehicles (vehicle)
);

CREATE TABLE ecus (
  vehicle TEXT COLLATE "C" NOT NULL,
  ecu TEXT COLLATE "C" NOT NULL,
  key_id TEXT COLLATE "C" NOT NULL,
  key_type TEXT COLLATE "C" NOT NULL,
  key_scheme TEXT COLLATE "C" NOT NULL,
  key_material BYTEA NOT NULL,
  sole_key BYTEA,
  is_primary BOOLEAN NOT NULL,
  hardware_id TEXT COLLATE "C",
  report_counter BIGINT NOT NULL,
  report BYTEA,
  report_received TIMESTAMP WITH TIME ZONE,
  retired TIMESTAMP WITH TIME ZONE,
  encryption_type TEXT COLLATE "C",
  encryption_material BYTEA,
  PRIMARY KEY (vehicle, ecu),
  FOREIGN KEY(vehicle) REFERENCES vehicles (vehicle),
  UNIQUE (ecu),
  UNIQUE (sole_key)
);

CREATE UNIQUE INDEX one_primary_per_vehicle ON ecus (vehicle) WHERE is_primary IS true AND retired IS NULL;

CREATE TABLE assignments (
  vehicle TEXT COLLATE "C" NOT NULL,
  ecu TEXT COLLATE "C" NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  image BYTEA NOT NULL,
  install_order INTEGER,
  encrypted BYTEA,
  PRIMARY KEY (vehicle, ecu),
  FOREIGN KEY(vehicle, ecu) REFERENCES ecus (vehicle, ecu)
);

CREATE TABLE directed (
  vehicle TEXT COLLATE "C" NOT NULL,
  ecu TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  image BYTEA NOT NULL,
  PRIMARY KEY (vehicle, ecu, number),
  FOREIGN KEY(vehicle, ecu) REFERENCES ecus (vehicle, ecu)
);

CREATE TABLE reports (
  vehicle TEXT COLLATE "C" NOT NULL,
  ecu TEXT COLLATE "C" NOT NULL,
  counter BIGINT NOT NULL,
  report BYTEA NOT NULL,
  received TIMESTAMP WITH TIME ZONE NOT NULL,
  attacks_detected TEXT NOT NULL,
  PRIMARY KEY (vehicle, ecu, counter),
  FOREIGN KEY(vehicle, ecu) REFERENCES ecus (vehicle, ecu)
);
