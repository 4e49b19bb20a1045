"""The ASN.1 that the archived implementation really wrote, in our own words.

Role files carry implicit context tags except inside `Signature`, `Hash` and `PublicKey`; what ECUs and the Timeserver
sign carries universal tags throughout. Lists may be empty. The sizes are those at which the archived encoder gave up;
they hold for role files. The text of an attack may hold line ends, although a VisibleString has none.
"""

SCHEMA = """
ArchivedShared DEFINITIONS EXPLICIT TAGS ::= BEGIN
  KeyType  ::= ENUMERATED { rsa(0), ed25519(1) }
  Method   ::= ENUMERATED { rsassa-pss(0), ed25519(1) }
  Function ::= ENUMERATED { sha224(0), sha256(1), sha384(2), sha512(3), sha512-224(4), sha512-256(5) }

  Signature ::= SEQUENCE { keyid OCTET STRING, method Method, value OCTET STRING }
  Hash      ::= SEQUENCE { function Function, digest OCTET STRING }
  PublicKey ::= SEQUENCE { publicKeyid OCTET STRING, publicKeyType KeyType, publicKeyValue OCTET STRING }
END

ArchivedRoles DEFINITIONS IMPLICIT TAGS ::= BEGIN
  IMPORTS Signature, Hash, PublicKey FROM ArchivedShared;

  RoleType ::= ENUMERATED { root(0), targets(1), snapshot(2), timestamp(3) }
  Name     ::= VisibleString (SIZE (1..32))

  RoleFile ::= SEQUENCE {
    signed             [0] RoleSigned,
    numberOfSignatures [1] INTEGER,
    signatures         [2] SEQUENCE OF Signature }

  RoleSigned ::= SEQUENCE {
    type    [0] RoleType,
    expires [1] INTEGER (1..4294967295),
    version [2] INTEGER,
    body    [3] EXPLICIT CHOICE {
      root      [0] RootBody,
      targets   [1] TargetsBody,
      snapshot  [2] SnapshotBody,
      timestamp [3] DescribedFile } }

  RootBody ::= SEQUENCE {
    numberOfKeys  [0] INTEGER,
    keys          [1] SEQUENCE OF PublicKey,
    numberOfRoles [2] INTEGER,
    roles         [3] SEQUENCE OF SEQUENCE {
      role           [0] RoleType,
      numberOfURLs   [1] INTEGER OPTIONAL,
      urls           [2] SEQUENCE OF VisibleString OPTIONAL,
      numberOfKeyids [3] INTEGER,
      keyids         [4] SEQUENCE OF OCTET STRING,
      threshold      [5] INTEGER } }

  TargetsBody ::= SEQUENCE {
    numberOfTargets [0] INTEGER,
    targets         [1] SEQUENCE OF SEQUENCE {
      target [0] RoleTarget,
      custom [1] SEQUENCE {
        releaseCounter     [0] INTEGER OPTIONAL,
        hardwareIdentifier [1] Name OPTIONAL,
        ecuIdentifier      [2] Name OPTIONAL } OPTIONAL } }

  RoleTarget ::= SEQUENCE {
    filename       [0] Name,
    length         [1] INTEGER,
    numberOfHashes [2] INTEGER,
    hashes         [3] SEQUENCE OF Hash }

  SnapshotBody ::= SEQUENCE {
    numberOfTargetRoleFiles [0] INTEGER,
    targetRoleFileInfos     [1] SEQUENCE OF SEQUENCE {
      filename [0] Name,
      version  [1] INTEGER },
    rootRoleFileInfo        [2] DescribedFile }

  DescribedFile ::= SEQUENCE {
    filename       [0] Name,
    version        [1] INTEGER,
    length         [2] INTEGER,
    numberOfHashes [3] INTEGER,
    hashes         [4] SEQUENCE OF Hash }
END

ArchivedReports DEFINITIONS EXPLICIT TAGS ::= BEGIN
  IMPORTS Signature, Hash FROM ArchivedShared;

  TimeAttestation ::= SEQUENCE {
    signed TimeSigned,
    numberOfSignatures INTEGER,
    signatures SEQUENCE OF Signature }
  TimeSigned ::= SEQUENCE { numberOfTokens INTEGER, tokens SEQUENCE OF INTEGER, timestamp INTEGER }

  EcuManifest ::= SEQUENCE {
    signed EcuSigned,
    numberOfSignatures INTEGER,
    signatures SEQUENCE OF Signature }
  EcuSigned ::= SEQUENCE {
    ecuIdentifier  VisibleString,
    previousTime   INTEGER,
    currentTime    INTEGER,
    securityAttack VisibleString OPTIONAL,
    installedImage SEQUENCE {
      filename       VisibleString,
      length         INTEGER,
      numberOfHashes INTEGER,
      hashes         SEQUENCE OF Hash } }

  VehicleManifest ::= SEQUENCE {
    signed VehicleSigned,
    numberOfSignatures INTEGER,
    signatures SEQUENCE OF Signature }
  VehicleSigned ::= SEQUENCE {
    vehicleIdentifier VisibleString,
    primaryIdentifier VisibleString,
    numberOfECUVersionManifests INTEGER,
    ecuVersionManifests SEQUENCE OF EcuManifest,
    securityAttack VisibleString OPTIONAL }
END
"""
