-- The tables of revision 0005, as the programs of that time made them in SQLite.

CREATE TABLE inventory_schema (
  version INTEGER NOT NULL,
  PRIMARY KEY (version)
);

CREATE TABLE vehicles (
  vehicle TEXT NOT NULL,
  manifest_counter BIGINT NOT NULL,
  manifest BLOB,
  manifest_received DATETIME,
  PRIMARY KEY (vehicle)
);

CREATE TABLE alerts (
  vehicle TEXT NOT NULL,
  number BIGINT NOT NULL,
  time DATETIME NOT NULL,
  code TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (vehicle, number),
  FOREIGN KEY(vehicle) REFERENCES vehicles (vehicle)
);

CREATE TABLE ecus (
  vehicle TEXT NOT NULL,
  ecu TEXT NOT NULL,
  key_id TEXT NOT NULL,
  key_type TEXT NOT NULL,
  key_scheme TEXT NOT NULL,
  key_material BLOB NOT NULL,
  sole_key BLOB,
  is_primary BOOLEAN NOT NULL,
  hardware_id TEXT,
  report_counter BIGINT NOT NULL,
  report BLOB,
  report_received DATETIME,
  retired DATETIME,
  encryption_type TEXT,
  encryption_material BLOB,
  PRIMARY KEY (vehicle, ecu),
  FOREIGN KEY(vehicle) REFERENCES vehicles (vehicle),
  UNIQUE (ecu),
  UNIQUE (sole_key)
);

CREATE UNIQUE INDEX one_primary_per_vehicle ON ecus (vehicle) WHERE is_primary IS 1 AND retired IS NULL;

CREATE TABLE assignments (
  vehicle TEXT NOT NULL,
  ecu TEXT NOT NULL,
  path TEXT NOT NULL,
  image BLOB NOT NULL,
  install_order INTEGER,
  encrypted BLOB,
  PRIMARY KEY (vehicle, ecu),
  FOREIGN KEY(vehicle, ecu) REFERENCES ecus (vehicle, ecu)
);

CREATE TABLE directed (
  vehicle TEXT NOT NULL,
  ecu TEXT NOT NULL,
  number BIGINT NOT NULL,
  path TEXT NOT NULL,
  image BLOB NOT NULL,
  PRIMARY KEY (vehicle, ecu, number),
  FOREIGN KEY(vehicle, ecu) REFERENCES ecus (vehicle, ecu)
);

CREATE TABLE reports (
  vehicle TEXT NOT NULL,
  ecu TEXT NOT NULL,
  counter BIGINT NOT NULL,
  report BLOB NOT NULL,
  received DATETIME NOT NULL,
  attacks_detected TEXT NOT NULL,
  PRIMARY KEY (vehicle, ecu, counter),
  FOREIGN KEY(vehicle, ecu) REFERENCES ecus (vehicle, ecu)
);
