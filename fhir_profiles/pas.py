"""Names of Da Vinci Prior Authorization Support (PAS) 2.2.1: profiles, extensions, code systems.

Source: http://hl7.org/fhir/us/davinci-pas. X12 codes stand under the number of their data element.
"""

GUIDE = "http://hl7.org/fhir/us/davinci-pas"
PROFILES = f"{GUIDE}/StructureDefinition"
REQUEST_BUNDLE = f"{PROFILES}/profile-pas-request-bundle"
RESPONSE_BUNDLE = f"{PROFILES}/profile-pas-response-bundle"
INQUIRY_BUNDLE = f"{PROFILES}/profile-pas-inquiry-request-bundle"
TOPIC = f"{GUIDE}/SubscriptionTopic/PASSubscriptionTopic"
TEMP_CODES = f"{GUIDE}/CodeSystem/PASTempCodes"

EXT_REVIEW_ACTION = f"{PROFILES}/extension-reviewAction"
EXT_REVIEW_CODE = f"{PROFILES}/extension-reviewActionCode"
EXT_ISSUED = f"{PROFILES}/extension-itemPreAuthIssueDate"
EXT_PERIOD = f"{PROFILES}/extension-itemPreAuthPeriod"
EXT_PROVIDER = f"{PROFILES}/extension-itemAuthorizedProvider"
EXT_FOLLOW_UP = f"{PROFILES}/extension-errorFollowupAction"
EXT_ERROR_ELEMENT = f"{PROFILES}/extension-errorElement"
EXT_ERROR_PATH = f"{PROFILES}/extension-errorPath"
EXT_SCOPE = f"{PROFILES}/extension-careTeamClaimScope"
EXT_REQUEST_TYPE = f"{PROFILES}/extension-serviceItemRequestType"
EXT_CERTIFICATION = f"{PROFILES}/extension-certificationType"
EXT_LEVEL_OF_SERVICE = f"{PROFILES}/extension-levelOfServiceCode"
EXT_DOCUMENT = f"{PROFILES}/extension-documentInformation"
EXT_REQUESTED_SERVICE = f"{PROFILES}/extension-requestedService"
EXT_RECORDED = f"{PROFILES}/extension-diagnosisRecordedDate"
EXT_CALENDAR = f"{PROFILES}/extension-timingcalendarpattern"
EXT_DELIVERY = f"{PROFILES}/extension-timingdeliverypattern"
EXT_CANCELLED = f"{PROFILES}/modifierextension-infoCancelled"
EXT_NUMBER = f"{PROFILES}/extension-authorizationNumber"
EXT_CHANGED = f"{PROFILES}/extension-infoChanged"

# X12 005010 data elements.
X12 = "https://codesystem.x12.org/005010"
REVIEW_ACTION = f"{X12}/306"
RELATIONSHIP = f"{X12}/1069"
CERTIFICATION_TYPE = f"{X12}/1322"
LEVEL_OF_SERVICE = f"{X12}/1338"
QUANTITY_UNIT = f"{X12}/673"
CDEX = "http://hl7.org/fhir/us/davinci-cdex"
HREX = "http://hl7.org/fhir/us/davinci-hrex"
EXT_WELL_KNOWN = f"{HREX}/StructureDefinition/extension-CoverageDavinciWellknownLocation"
WELL_KNOWN = "/.well-known/davinci-configuration"
HREX_TEMP = f"{HREX}/CodeSystem/hrex-temp"
UNIQUE_MEMBER = "UMB"  # of identifier types: what a payer calls a person
ENDPOINT_CODES = f"{HREX}/CodeSystem/hrex-endpoint-discovery"
PLACE_OF_SERVICE = (
    "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
)
ICD_10 = "http://hl7.org/fhir/sid/icd-10-cm"
RELATED = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"
DECISION_REASON = "https://codesystem.x12.org/external/886"
QUESTIONNAIRE = "102089-0"  # LOINC, which stands for "fill in a questionnaire"
IMMEDIATE_APPEAL, CANCEL, FIRST = "1", "3", "I"  # of certification types (UM02)
SELF = "18"  # of relationships (INS02)
