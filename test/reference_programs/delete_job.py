from __future__ import print_function
import time
import tator
from tator.rest import ApiException
from pprint import pprint

# Configure API key authorization: TokenAuth
configuration = tator.Configuration()
configuration.api_key['Authorization'] = 'YOUR_API_KEY'
# Uncomment below to setup prefix (e.g. Bearer) for API key, if needed
# configuration.api_key_prefix['Authorization'] = 'Bearer'

# create an instance of the API class
api_instance = tator.JobApi(tator.ApiClient(configuration))
run_uid = 'run_uid_example' # str | A uuid1 string identifying to single Job.

try:
    api_response = api_instance.delete_job(run_uid)
    pprint(api_response)
except ApiException as e:
    print("Exception when calling JobApi->delete_job: %s\n" % e)
