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
group_id = 'group_id_example' # str | A uuid1 string identifying a group of jobs.

try:
    api_response = api_instance.delete_job_group(group_id)
    pprint(api_response)
except ApiException as e:
    print("Exception when calling JobApi->delete_job_group: %s\n" % e)
