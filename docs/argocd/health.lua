-- Health of an EmbeddingModel for Argo CD, by kstatus' rules: what was computed for an older generation of the object
-- says nothing about this one.
if obj.spec ~= nil and obj.spec.suspend == true then
  return {status = "Suspended", message = "spec.suspend is true"}
end
local health = {status = "Progressing", message = "Waiting for the operator"}
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function holds(type)
  return conditions[type] ~= nil and conditions[type].status == "True"
end
if conditions.Ready ~= nil then
  health.message = conditions.Ready.message
end
if holds("Reconciling") then
  health.message = conditions.Reconciling.message
elseif holds("Stalled") then
  health.status, health.message = "Degraded", conditions.Stalled.message
elseif holds("Ready") then
  health.status = "Healthy"
end
return health
